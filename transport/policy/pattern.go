package policy

// parsePattern reads `[METHOD ][HOST]/[PATH]` and returns every fault of it, as "rest of the list" in POLICY.md has them.
func parsePattern(text string) (pattern, []fault) { panic("stub") }

// knownMethod reports whether anybody uses the method; a pattern with another one earns a warning.
func knownMethod(method string) bool { panic("stub") }

type pattern struct{}
