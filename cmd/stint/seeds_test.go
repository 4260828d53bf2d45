package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The published pages of four providers (testdata/seeds), sentence by sentence, against two real nodes that serve the policies
// of `stint policy example`. Each page has two tables: what it says of the server, as cases that cite the sentences, and
// what it says to people and clients, with the reason why there is nothing to ask a server. TestSeedPagesAreCovered
// sees to it that no line is in neither.

// A seed is a provider's page, and what it means.
type seed struct {
	name    string   // of the page and of the policy
	allowed []string // the headers of its kind on an answer that allows, all of them
	denied  []string // on one that denies
	sample  sample   // the denial's body on the page
	body    string   // or the body itself, where the page shows none
	cases   []seedCase
	others  []aside
}

// A sample is a denial's body as the page shows it: the text between two others, in which what depends on the moment is
// replaced by the names of values.
type sample struct {
	after, until string
	values       []string // old, new, old, new
}

// A seedCase is what sentences of a page say, as requests and their answers.
type seedCase struct {
	says  []string
	steps []step
	also  func(t *testing.T, a *seedAsker) // what a table cannot say
	later *step                            // asked when all cases are done, at least a second after the last that was allowed
}

// A step is one request, or some of the same kind: they go to the two nodes by turns, so that an answer is only right
// if the nodes count together. In all texts $ is the case's number, so that no case spends another's hits.
type step struct {
	n      int      // how often; 0 is once
	door   string   // forward-auth; or the native API, in "json" or "msgpack"
	policy string   // if not the page's own
	ask    string   // METHOD URI; several by turns, with | between them
	from   string   // the client's address, by a letter, "a" if empty; several by turns, with | between them
	with   []string // more headers, NAME: VALUE|VALUE by turns, or "body: …"; for the native API more attributes
	hits   int      // of each; the native API's only

	// What must come back each time.
	want    int           // status
	limit   int           // X-RateLimit-Limit; 0: none of the page's headers is there
	left    int           // X-RateLimit-Remaining of the last answer; in those before it is higher by their hits
	window  time.Duration // that Retry-After and X-RateLimit-Reset count from, see seedAsker.judge
	current int           // in the body of the first denial, and one more in each after it
	body    string        // of a denial, if not the page's
}

// An aside is what a page does not say of the server: whole lines or sentences of it, or all from one line to another.
type aside struct {
	why      string
	says     []string
	from, to string
}

var seeds = []*seed{&seedIPTO, &seedLicenseAPI, &seedWeb3Market, &seedXola}

// Copies of the examples that bring far numbers near: what is replaced is there n times, no more and no less.
var seedCopies = []struct {
	name, of, old, new string
	n                  int
}{
	// 100 a minute would stand before 1000 an hour for ten minutes, and before 10000 a day for longer.
	{"ipto-hour", "ipto", "[100/1m, 1000/1h, 10000/1d]", "[1000/1h, 10000/1d]", 1},
	{"ipto-day", "ipto", "[100/1m, 1000/1h, 10000/1d]", "10000/1d", 1},
	// The global 100 a minute hides an endpoint's 100 a minute.
	{"ipto-wide", "ipto", "[100/1m, 1000/1h, 10000/1d]", "[900/1m, 1000/1h, 10000/1d]", 1},
	// Windows that pass while a test looks on.
	{"web3market-blink", "web3market", "/1m", "/500ms", 4},
	{"xola-blink", "xola", "limits: 900/30m", "limits: 3/500ms", 1},
}

func TestSeeds(t *testing.T) {
	var flags []string
	examples := map[string]string{}
	load := func(name, text string) {
		flags = append(flags, "--policy", file(t, name+".yaml", text))
	}
	for _, s := range seeds {
		text, code := stint(t, "policy", "example", s.name)
		if code != 0 {
			t.Fatalf("policy example %s: exit %d: %s", s.name, code, text)
		}
		examples[s.name] = text
		load(s.name, text)
	}
	for _, c := range seedCopies {
		text := examples[c.of]
		if n := strings.Count(text, c.old); n != c.n {
			t.Fatalf("%s: %q is there %d times, want %d", c.of, c.old, n, c.n)
		}
		text = strings.ReplaceAll(text, c.old, c.new)
		load(c.name, strings.Replace(text, "name: "+c.of+"\n", "name: "+c.name+"\n", 1))
	}
	nodes := cluster(t, 2, flags...).Nodes
	var askers []*seedAsker
	for _, s := range seeds {
		body := compact(t, s.denial(t))
		for i := range s.cases {
			askers = append(askers, newSeedAsker(t, nodes, s, i, body))
		}
	}
	t.Run("now", func(t *testing.T) {
		for _, a := range askers {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				a.begin(t)
				for at := range a.steps {
					a.step(at, &a.steps[at])
				}
				if a.also != nil {
					a.also(t, a)
				}
			})
		}
	})
	// What is left of a window must be less than all of it once time has passed. It has by now: there is next to nothing to wait.
	t.Run("later", func(t *testing.T) {
		for _, a := range askers {
			if a.later != nil && !a.lastAllowed.IsZero() {
				t.Run(a.name, func(t *testing.T) {
					a.begin(t)
					time.Sleep(time.Until(a.lastAllowed.Add(time.Second)))
					a.step(len(a.steps), a.later)
				})
			}
		}
	})
}

// denial is the body of a denial, from the page where it shows one.
func (s *seed) denial(t *testing.T) string {
	t.Helper()
	if s.body != "" {
		return s.body
	}
	_, text, ok := strings.Cut(s.page(t), s.sample.after)
	if !ok {
		t.Fatalf("%s: there is no %q", s.name, s.sample.after)
	}
	text, _, ok = strings.Cut(text, s.sample.until)
	if !ok {
		t.Fatalf("%s: there is no %q after the sample", s.name, s.sample.until)
	}
	for i := 0; i < len(s.sample.values); i += 2 {
		if n := strings.Count(text, s.sample.values[i]); n != 1 {
			t.Fatalf("%s: %q is %d times in the sample", s.name, s.sample.values[i], n)
		}
		text = strings.Replace(text, s.sample.values[i], s.sample.values[i+1], 1)
	}
	return text
}

func (s *seed) page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "seeds", s.name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every line of the pages is in one of the two tables, and nothing in the tables is not on the page.
func TestSeedPagesAreCovered(t *testing.T) {
	for _, s := range seeds {
		page := s.page(t)
		cited, others := make([]bool, len(page)), make([]bool, len(page))
		for i, c := range s.cases {
			if len(c.says) == 0 || len(c.steps) == 0 && c.also == nil {
				t.Errorf("%s: case %d cites nothing or asks nothing", s.name, i)
			}
			for _, text := range c.says {
				if !cite(page, text, cited) {
					t.Errorf("%s does not say %q", s.name, text)
				}
			}
		}
		for _, o := range s.others {
			if o.why == "" {
				t.Errorf("%s: no reason for %q%q", s.name, o.says, o.from)
			}
			for _, text := range o.says {
				if !cite(page, text, others) {
					t.Errorf("%s does not say %q", s.name, text)
				}
			}
			if o.from != "" {
				_, inner, ok := strings.Cut(page, o.from)
				at := len(page) - len(inner)
				end := strings.Index(inner, o.to)
				if !ok || end < 0 {
					t.Errorf("%s has nothing from %q to %q", s.name, o.from, o.to)
					continue
				}
				for i := at - len(o.from); i < at+end+len(o.to); i++ {
					others[i] = !cited[i]
				}
			}
		}
		for i := range cited {
			if cited[i] && others[i] {
				t.Errorf("%s: in both tables: %q", s.name, lineAt(page, i))
				break
			}
		}
		from := 0
		for line := range strings.Lines(page) {
			text := from + len(listMark.FindString(line))
			for i := text; i < from+len(line); i++ {
				if !cited[i] && !others[i] && page[i] > ' ' {
					t.Errorf("%s: in neither table: %q, from %q on", s.name, line, page[i:from+len(line)])
					break
				}
			}
			from += len(line)
		}
	}
}

// listMark is what a list puts before its items.
var listMark = regexp.MustCompile(`^\s*(\d+\.|•|-)?\s+|^- `)

// cite marks where the page says the text, and reports whether it does. What is short has to be a whole line of its own:
// "1" and "Wallet" are in many others.
func cite(page, text string, marked []bool) bool {
	found := false
	for from := 0; ; {
		i := strings.Index(page[from:], text)
		if i < 0 {
			return found
		}
		i += from
		from = i + len(text)
		if len(text) < 30 {
			line := lineAt(page, i)
			if strings.TrimSpace(line[len(listMark.FindString(line)):]) != text {
				continue
			}
		}
		found = true
		for j := i; j < from; j++ {
			marked[j] = true
		}
	}
}

// lineAt returns the line around a position.
func lineAt(page string, at int) string {
	line := page[strings.LastIndexByte(page[:at], '\n')+1:]
	line, _, _ = strings.Cut(line, "\n")
	return line
}
