package transport

import "github.com/stint-limiter/stint/bucket"

// SameLine reports whether two limits of one check are counted on the same line: all of the identity but COUNT and
// burst is equal.
func SameLine(a, b *Limit) bool {
	return a.Scope == b.Scope && a.Window == b.Window && a.Algorithm == b.Algorithm && a.Policy == b.Policy && a.Rule == b.Rule
}

// FoldLimits folds limits of the same identity into the strictest, the least count and the least burst, at the place
// of the first, and returns the shorter slice. 10/1m and 20/1m on one key are one bucket: taking from it twice would
// charge a hit double. It writes to the slice, so it is for limits that nobody shares yet.
func FoldLimits(limits []Limit) []Limit {
	out := limits[:0]
next:
	for _, l := range limits {
		for i := range out {
			if o := &out[i]; SameLine(o, &l) {
				o.Count = min(o.Count, l.Count)
				if o.Algorithm == bucket.TokenBucket {
					o.Burst = min(o.Burst, l.Burst)
				}
				o.Shadow = o.Shadow && l.Shadow
				o.CountDenied = o.CountDenied || l.CountDenied
				o.Text = o.Limit.String()
				continue next
			}
		}
		out = append(out, l)
	}
	return out
}
