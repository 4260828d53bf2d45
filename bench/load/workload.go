package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Keys is how many keys a workload is spread over, where it is spread and nothing else was said.
const Keys = 100_000

// maxKeys is as many as the digits of a key can tell apart.
const maxKeys = 100_000_000

// A Workload says which keys are asked for, and under which limits. It is made once and read by all callers.
type Workload struct {
	Name  string
	Batch int     // checks of one request
	Keys  int     // how many distinct keys there are, numbered from 0
	Terms []Terms // key k is asked for under Terms[k % len(Terms)]
	About string  // one line for help
	// Fill: the number of keys was asked for by name, so each has its line before anything is measured.
	Fill bool

	// seq has the keys in the order in which they are asked for; every caller starts at another place of it and goes round. Drawing
	// beforehand costs the generator nothing while it measures. nil: every caller has one key, its own.
	seq []uint32
}

// seqLen is a compromise: long enough that 100,000 keys come 5 times each, short enough to stay in a cache. More keys have more.
const seqLen = 1 << 19

// The workloads by name. Counts are chosen so that what is measured is what the name says: spread keys are mostly
// admitted, zipf's head runs into its limit and its tail does not, the hot key never runs out before Finish, and
// who is far over is so after the first moment.
var workloads = []Workload{
	{Name: "uniform", Keys: Keys, Terms: perHour(100_000), About: "every key is as likely as any other"},
	{Name: "zipf", Keys: Keys, Terms: perHour(1_000), About: "key k is asked for in proportion to 1/(k+1)^1.1: a few keys run over, most do not"},
	{Name: "hot", Keys: Keys, Terms: perHour(1_000_000_000), About: "90 % of the checks are for one key that is not over"},
	{Name: "over", Keys: 0, Terms: perHour(100), About: "every caller has one key, and is far over its limit"},
	{Name: "mixed", Keys: Keys, Terms: mixedTerms(), About: "keys as in zipf; all algorithms, up to 3 limits a key and 5 hits a check"},
}

// Names returns the names of the workloads, each with a line that explains it.
func Names() (names, about []string) {
	for _, w := range workloads {
		names, about = append(names, w.Name), append(about, w.About)
	}
	return names, about
}

// NewWorkload returns the named workload with batch checks to a request, for so many callers. A name may say how many keys there are,
// uniform:1000000 or uniform:1m. The same seed gives the same keys in the same order.
func NewWorkload(name string, batch, callers int, seed uint64) (*Workload, error) {
	const most = 1000 // checks of a request; transport.MaxChecks
	if batch < 1 || batch > most {
		return nil, fmt.Errorf("workload %s with %d checks a request: a request has from 1 to %d", name, batch, most)
	}
	if callers < 1 {
		return nil, fmt.Errorf("workload %s with %d callers: it takes at least one", name, callers)
	}
	base, number, numbered := strings.Cut(name, ":")
	for _, w := range workloads {
		if w.Name != base {
			continue
		}
		w.Batch = batch
		if numbered {
			n, err := parseKeys(number)
			if err == nil && w.Keys == 0 {
				err = errors.New("its keys are its callers")
			}
			if err != nil {
				return nil, fmt.Errorf("workload %s: %w", name, err)
			}
			w.Keys, w.Fill = n, true
		}
		if w.Keys == 0 {
			w.Keys = callers
			return &w, nil
		}
		w.seq = draw(base, w.Keys, rand.New(rand.NewPCG(seed, 1)))
		return &w, nil
	}
	names, _ := Names()
	return nil, fmt.Errorf("no workload is called %q: there are %s", base, strings.Join(names, ", "))
}

// parseKeys reads 1000000, 1000k or 1m.
func parseKeys(text string) (int, error) {
	unit := 1
	digits := text
	if s, ok := strings.CutSuffix(digits, "k"); ok {
		digits, unit = s, 1_000
	} else if s, ok := strings.CutSuffix(digits, "m"); ok {
		digits, unit = s, 1_000_000
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > maxKeys/unit {
		return 0, fmt.Errorf("%q is no number of keys from 1 to %d, such as 1000, 100k or 1m", text, maxKeys)
	}
	return n * unit, nil
}

func draw(name string, keys int, r *rand.Rand) []uint32 {
	seq := make([]uint32, min(max(seqLen, 2*keys), 1<<24))
	zipf := rand.NewZipf(r, 1.1, 1, uint64(keys-1))
	for i := range seq {
		switch {
		case name == "zipf" || name == "mixed":
			seq[i] = uint32(zipf.Uint64())
		case name == "hot" && r.Float64() < 0.9:
			seq[i] = 0
		default:
			seq[i] = r.Uint32N(uint32(keys))
		}
	}
	return seq
}

// Count is the COUNT of the limit that denies first, of the first key.
func (w *Workload) Count() uint32 { return w.Terms[0].Count }

// TermsOf returns what the key is asked for under.
func (w *Workload) TermsOf(key uint32) *Terms { return &w.Terms[int(key)%len(w.Terms)] }

// Plain reports whether every check is one hit under one limit of Count per hour: all that some servers know.
func (w *Workload) Plain() bool {
	return len(w.Terms) == 1 && len(w.Terms[0].Limits) == 1 && w.Terms[0].Hits == 1
}

// A cursor is where one caller is in the workload.
type cursor struct {
	w   *Workload
	pos int
	own uint32
}

func (w *Workload) cursor(caller, callers int) cursor {
	return cursor{w: w, pos: len(w.seq) / callers * caller, own: uint32(caller % w.Keys)}
}

// next fills keys with what the caller asks for next.
func (c *cursor) next(keys []uint32) {
	if c.w.seq == nil {
		for i := range keys {
			keys[i] = c.own
		}
		return
	}
	for i := range keys {
		if c.pos >= len(c.w.seq) {
			c.pos = 0
		}
		keys[i] = c.w.seq[c.pos]
		c.pos++
	}
}

// sample returns up to 100 keys that Finish brings to their limit: those that are asked for most, and some of the rest.
func (w *Workload) sample() []uint32 {
	const most, head = 100, 20
	var s []uint32
	for k := 0; k < w.Keys && k < head; k++ {
		s = append(s, uint32(k))
	}
	for i := 0; len(s) < most && len(s) < w.Keys; i++ {
		// The rest in even steps, the last key among them.
		k := head + (w.Keys-1-head)*(i+1)/(min(most, w.Keys)-head)
		s = append(s, uint32(k))
	}
	return s
}
