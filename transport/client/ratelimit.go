package client

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A RateLimit is what an answer's headers say about its limit. Unknown is what they do not say.
type RateLimit struct {
	Limit     int64         // requests a window has room for
	Remaining int64         // requests left
	Reset     time.Duration // until there are more
}

// Unknown is the value of a RateLimit's field that the headers do not tell.
const Unknown = -1

// Numbers of X-RateLimit-Reset from epoch on are seconds since 1970, and from epochMilli on milliseconds; below, they are
// seconds from now. A wait of thirty years, or an API that still runs in 2001, would be mistaken.
const (
	epoch      = 1e9
	epochMilli = 1e12

	// maxReset bounds what a header can ask for: more is nonsense.
	maxReset = 366 * 24 * time.Hour
)

// ReadRateLimit reads the rate-limit headers of an answer that was received at now:
//
//	RateLimit: "default";r=50;t=30      and RateLimit-Policy: "default";q=100;w=60     (IETF draft, seconds from now)
//	RateLimit-Limit, -Remaining, -Reset                                               (older IETF drafts, seconds from now)
//	X-RateLimit-Limit, -Remaining, -Reset                                             (everybody else)
//
// X-RateLimit-Reset is a moment in seconds or milliseconds since 1970, or seconds from now: which, its size tells. A moment is
// compared with the answer's Date, so that the two clocks need not agree. Of several limits in one header it is the one with the least
// remaining. What is absent or makes no sense is Unknown.
func ReadRateLimit(h http.Header, now time.Time) RateLimit {
	l := RateLimit{Unknown, Unknown, Unknown}
	if value := h.Get("RateLimit"); value != "" && l.readItems(value, strings.Join(h.Values("RateLimit-Policy"), ",")) {
		return l
	}
	prefix := "RateLimit-"
	if h.Get(prefix+"Remaining") == "" && h.Get(prefix+"Limit") == "" {
		prefix = "X-RateLimit-"
	}
	if n, ok := number(h.Get(prefix + "Limit")); ok {
		l.Limit = int64(n)
	}
	if n, ok := number(h.Get(prefix + "Remaining")); ok {
		l.Remaining = int64(n)
	}
	if n, ok := number(h.Get(prefix + "Reset")); ok {
		switch {
		case n >= epochMilli:
			l.Reset = until(time.UnixMilli(int64(n)), h, now)
		case n >= epoch:
			l.Reset = until(time.Unix(int64(n), 0), h, now)
		default:
			l.Reset = seconds(n)
		}
	}
	return l
}

// RetryAfter returns how long the header Retry-After says to wait, from now, the moment at which the answer was received: seconds, or a date,
// which is compared with the answer's Date. ok is false where it is absent or makes no sense.
func RetryAfter(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if n, ok := number(value); ok {
		return seconds(n), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return until(at, h, now), true
}

// until is the time from an answer's Date, else from now, to a moment; 0 if that is over.
func until(at time.Time, h http.Header, now time.Time) time.Duration {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxReset)
}

func seconds(n float64) time.Duration {
	return time.Duration(min(n, maxReset.Seconds()) * float64(time.Second))
}

// number reads the number that a header begins with, such as `100`, `100, 100;w=60` or `1616320000.5`: no sign, no exponent.
func number(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.') {
		end++
	}
	if end < len(s) && s[end] != ',' && s[end] != ';' && s[end] != ' ' {
		return 0, false
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	return n, err == nil && n < math.MaxInt64/2
}

// readItems reads the RateLimit header of the IETF drafts: items with parameters, or the fields of the drafts up to 7,
// `limit=100, remaining=50, reset=30`.
func (l *RateLimit) readItems(value, policy string) bool {
	found, old := false, RateLimit{Unknown, Unknown, Unknown}
	for _, item := range split(value, ',') {
		fields := split(item, ';')
		left, hasLeft := parameter(fields, "r")
		if !hasLeft {
			for name, to := range map[string]*int64{"limit": &old.Limit, "remaining": &old.Remaining} {
				if n, ok := parameter(fields, name); ok {
					*to = int64(n)
				}
			}
			if n, ok := parameter(fields, "reset"); ok {
				old.Reset = seconds(n)
			}
			continue
		}
		x := RateLimit{Unknown, int64(left), Unknown}
		if t, ok := parameter(fields, "t"); ok {
			x.Reset = seconds(t)
		}
		for _, p := range split(policy, ',') {
			if names := split(p, ';'); names[0] == fields[0] {
				if q, ok := parameter(names, "q"); ok {
					x.Limit = int64(q)
				}
			}
		}
		if !found || x.Remaining < l.Remaining || x.Remaining == l.Remaining && x.Reset > l.Reset {
			*l, found = x, true
		}
	}
	if !found && old.Remaining != Unknown {
		*l, found = old, true
	}
	return found
}

// parameter returns the number of `name=…` among the fields of an item.
func parameter(fields []string, name string) (float64, bool) {
	for _, f := range fields {
		if n, v, ok := strings.Cut(f, "="); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			return number(v)
		}
	}
	return 0, false
}

// split splits a header at a separator that is not within quotes, and trims the parts. It returns one part at least.
func split(s string, sep byte) []string {
	var parts []string
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}
