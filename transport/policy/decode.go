package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// From nodes to values. Decoding is done by hand, because the library's own stops at the first field that it does not
// know and has no columns. Everything here reports and goes on, so that one run tells all.

// A decoder reads one file.
type decoder struct {
	*page
	file string
	now  time.Time // for overrides that have ended
	ps   Problems
	// secrets are the bytes of the source that no message may repeat.
	secrets [][2]int
	lost    int // problems beyond maxProblems

	p               *Policy
	nameAt, rulesAt *yaml.Node
	// attributeAt has the name nodes of the policy's attributes, in the same order.
	attributeAt []*yaml.Node
	used        []bool // by attribute: named by a key, a condition or an override
	key         keyList
	ruleAt      []*ruleNodes // of the policy's rules, in the same order
	trustAt     *yaml.Node   // trusted_proxies; nil where the file has none
	// current is where the first ${current} is, in bytes of the source, and how long it is; 0 where there is none.
	current [2]int
}

// report adds a problem at bytes of the source.
func (d *decoder) report(s Severity, at, n int, msg, hint string) {
	if len(d.ps) >= maxProblems {
		d.lost++
		return
	}
	line, col := d.place(min(at, len(d.src)))
	if at+n > d.lines[line-1]+len(d.line(line)) {
		n = d.lines[line-1] + len(strings.TrimRight(d.line(line), " \t")) - at // carets stay on one line
	}
	length := 1
	if n > 0 {
		length = max(1, utf8.RuneCountInString(d.src[at:at+n]))
	}
	d.ps = append(d.ps, Problem{File: d.file, Line: line, Col: col, Len: length, Severity: s, Message: msg, Hint: hint})
}

// at reports a problem about a node: all of a scalar, or the place where something longer begins.
func (d *decoder) at(s Severity, n *yaml.Node, hint, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if n.Kind == yaml.ScalarNode {
		to := d.spread(n)
		d.report(s, to[0], to[len(to)-1]-to[0], msg, hint)
		return
	}
	d.report(s, d.offset(n.Line, n.Column), 1, msg, hint)
}

func (d *decoder) errorf(n *yaml.Node, hint, format string, args ...any) {
	d.at(Error, n, hint, format, args...)
}

// fault reports what is wrong with bytes f.at to f.at+f.n of a scalar's value.
func (d *decoder) fault(n *yaml.Node, prefix string, f fault) {
	to := d.spread(n)
	from := min(max(f.at, 0), len(n.Value))
	end := min(from+max(f.n, 0), len(n.Value))
	d.report(Error, to[from], to[end]-to[from], prefix+f.msg, f.hint)
}

// finish fills in the source lines, with secrets starred out, and sorts.
func (d *decoder) finish() Problems {
	masked := d.page
	if len(d.secrets) > 0 {
		var b strings.Builder
		last := 0
		for _, s := range d.secrets {
			if s[0] < last { // the same one again, by an alias
				continue
			}
			b.WriteString(d.src[last:s[0]])
			for _, r := range d.src[s[0]:s[1]] {
				if lineBreak(string(r)) == 0 {
					r = '*'
				}
				b.WriteRune(r)
			}
			last = s[1]
		}
		b.WriteString(d.src[last:])
		masked = newPage(b.String())
	}
	for i := range d.ps {
		d.ps[i].Source, d.ps[i].shift = clip(masked.line(d.ps[i].Line), d.ps[i].Col)
	}
	d.ps.sort()
	if d.lost > 0 {
		d.ps = append(d.ps, Problem{File: d.file, Severity: Note, Message: fmt.Sprintf("and %s more", plural(d.lost, "problem"))})
		d.lost = 0
	}
	return d.ps
}

// clip cuts a line that nobody could read down to the part around a column.
func clip(line string, col int) (part string, shift int) {
	const most = 200
	if len(line) <= most && utf8.ValidString(line) {
		return line, 0
	}
	r := []rune(line) // what is not UTF-8 becomes U+FFFD, byte by byte, as columns are counted
	shift = min(max(col-most/2, 0), max(len(r)-most, 0))
	return string(r[shift:min(shift+most, len(r))]), shift
}

// quote puts what the file says into a message, shortened where it is long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "..."
	}
	return strconv.Quote(s)
}

// bounded reports whether the tree keeps to MaxDepth and MaxAliases; what does not is not read at all.
func (d *decoder) bounded(root *yaml.Node) bool {
	const maxNodes = 4 * MaxFile // more than any file has by itself; only aliases get there
	aliases, nodes := 0, 0
	var walk func(n *yaml.Node, depth int) bool
	walk = func(n *yaml.Node, depth int) bool {
		nodes++
		if n.Kind == yaml.AliasNode {
			if aliases++; aliases > MaxAliases || nodes > maxNodes {
				d.errorf(n, "write it out", "more than %d aliases, counting those inside of what they stand for", MaxAliases)
				return false
			}
			n = n.Alias
		}
		if depth > MaxDepth {
			d.errorf(n, "", "nested more than %d deep", MaxDepth)
			return false
		}
		for _, c := range n.Content {
			if !walk(c, depth+1) {
				return false
			}
		}
		return true
	}
	return walk(root, 1)
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// A field is one key of a map of the format and what reads its value. The tables of them are the format: the JSON
// Schema is tested against them.
type field[T any] struct {
	name string
	read func(d *decoder, into T, key, val *yaml.Node)
}

// fields reads a map by a table, in the table's order, and reports what is not in the table or is there twice. It
// returns the nodes of the keys that it has seen.
func fields[T any](d *decoder, n *yaml.Node, what string, table []field[T], into T) map[string]*yaml.Node {
	seen := make(map[string]*yaml.Node)
	names := make([]string, len(table))
	for i := range table {
		names[i] = table[i].name
	}
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "", "%s is a map of: %s", what, strings.Join(names, ", "))
		return seen
	}
	vals := make(map[string]*yaml.Node)
	d.entries(n, what, "", func(key, val *yaml.Node) {
		name := key.Value
		for i := range names {
			if names[i] == name {
				seen[name], vals[name] = key, val
				return
			}
		}
		hint := didYouMean(name, names)
		if name == "<<" {
			hint = "merging is not supported: write the fields out"
		} else if hint == "" {
			hint = "known: " + strings.Join(names, ", ")
		}
		d.errorf(key, hint, "unknown field %s", quote(name))
	})
	for i := range table {
		val := vals[table[i].name]
		if val == nil {
			continue
		}
		if isNull(val) {
			d.errorf(seen[table[i].name], "", "%s has no value", table[i].name)
			continue
		}
		table[i].read(d, into, seen[table[i].name], val)
	}
	return seen
}

// entries calls f for each entry of a map with a plain key that is not there twice. kind, "" or a word and a space, is
// what messages call an entry.
func (d *decoder) entries(n *yaml.Node, what, kind string, f func(key, val *yaml.Node)) {
	if len(n.Content)/2 > maxItems {
		d.errorf(n, "", "%s has %d entries; the most is %d", what, len(n.Content)/2, maxItems)
		return
	}
	first := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := deref(n.Content[i]), deref(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			d.errorf(key, "", "a name is expected here")
			continue
		}
		if before := first[key.Value]; before != nil {
			d.errorf(key, "", "%s%s is here twice; it is first on line %d", kind, quote(key.Value), before.Line)
			continue
		}
		first[key.Value] = key
		f(key, val)
	}
}

// items returns the items of a list, or the one scalar that stands for a list of one.
func (d *decoder) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	if len(n.Content) > maxItems {
		d.errorf(n, "", "%s has %d items; the most is %d", what, len(n.Content), maxItems)
		return nil
	}
	list := make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		list[i] = deref(n.Content[i])
	}
	return list
}

// text returns the text of a scalar; numbers, dates and such are taken as they are written.
func (d *decoder) text(n *yaml.Node, what string) (string, bool) {
	switch {
	case n.Kind == yaml.MappingNode:
		d.errorf(n, "", "%s is text, not a map", what)
	case n.Kind == yaml.SequenceNode:
		d.errorf(n, "", "%s is text, not a list", what)
	case isNull(n):
		d.errorf(n, "", "%s has no value", what)
	default:
		return n.Value, true
	}
	return "", false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// flag reads true or false.
func (d *decoder) flag(n *yaml.Node, what string, into *bool) {
	s, ok := d.text(n, what)
	switch {
	case !ok:
	case s == "true":
		*into = true
	case s == "false":
		*into = false
	default:
		d.errorf(n, "", "%s: %s is not true or false", what, quote(s))
	}
}

// oneOf reads one of a few words and returns its index, -1 where it is none of them.
func (d *decoder) oneOf(n *yaml.Node, what string, words ...string) int {
	s, ok := d.text(n, what)
	if !ok {
		return -1
	}
	for i := range words {
		if words[i] == s {
			return i
		}
	}
	hint := didYouMean(s, words)
	list := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	d.errorf(n, hint, "%s: %s is not %s", what, quote(s), list)
	return -1
}
