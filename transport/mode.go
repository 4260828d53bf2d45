package transport

import "fmt"

// The words that flags, files and policies have for a Mode and an OnSplit.

// String returns the word for the mode, "" for ByDefault.
func (m Mode) String() string {
	switch m {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return ""
}

// ParseMode reads `allow` or `deny`.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "allow":
		return Allow, nil
	case "deny":
		return Deny, nil
	}
	return ByDefault, fmt.Errorf("unknown failure mode %q; known: allow, deny", s)
}

// Allows reports whether the mode lets a request through that nobody can decide; ByDefault does, as Envoy does.
func (m Mode) Allows() bool { return m != Deny }

// String returns the word for it, "" for SplitDefault.
func (o OnSplit) String() string {
	switch o {
	case SplitFull:
		return "full"
	case SplitShare:
		return "share"
	case SplitDeny:
		return "deny"
	}
	return ""
}

// ParseOnSplit reads `full`, `share` or `deny`.
func ParseOnSplit(s string) (OnSplit, error) {
	switch s {
	case "full":
		return SplitFull, nil
	case "share":
		return SplitShare, nil
	case "deny":
		return SplitDeny, nil
	}
	return SplitDefault, fmt.Errorf("unknown on_split %q; known: full, share, deny", s)
}
