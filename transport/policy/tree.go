package policy

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// From bytes to a tree of YAML nodes, and what is said where the bytes are not YAML. The library has a line for its
// errors at best, and often not the one that is wrong; so the first line is looked for with which the error
// comes, and the words on that line that it is about.

// Caps on what a file may hold. Policies are written by hand and stay far below all of them; a file beyond one was
// not meant for us.
const (
	// MaxFile is the size of a file in bytes: 1,000 rules with comments are a third of it.
	MaxFile = 1 << 20
	// MaxRules is how many rules a policy may have: each is looked at for every request.
	MaxRules = 1000
	// MaxPatterns is how many patterns all rules together may have, for the same reason; and the check compares each
	// with each.
	MaxPatterns = 4000
	// MaxRuleLimits is how many limits a rule, or an override, may have. All of them are taken under one lock.
	MaxRuleLimits = 16
	// MaxAliases is how many YAML aliases are followed, counting those inside of what is followed: a file of a few
	// hundred bytes can stand for gigabytes otherwise.
	MaxAliases = 64
	// MaxDepth is how deep the YAML may nest. The format needs 7 levels.
	MaxDepth = 16
	// maxItems is how many entries any other list or map may have.
	maxItems = 1000
	// maxProblems is how many problems are told of one file: nobody reads more.
	maxProblems = 1000
)

// A yamlError is why a file is not one tree: where, what, and the repair.
type yamlError struct {
	at, n     int // bytes of the source
	msg, hint string
}

// tree parses a file of one document. An empty one is an error.
func (p *page) tree() (*yaml.Node, *yamlError) {
	if e := p.badBytes(); e != nil {
		return nil, e
	}
	dec := yaml.NewDecoder(strings.NewReader(p.src))
	doc, err := decode(dec)
	switch {
	case errors.Is(err, io.EOF):
		return nil, &yamlError{msg: "the file is empty", hint: "stint policy init prints one to start from"}
	case err != nil:
		return nil, p.translate(err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" {
		return nil, &yamlError{msg: "the file is empty", hint: "stint policy init prints one to start from"}
	}
	if _, err := decode(dec); !errors.Is(err, io.EOF) {
		return nil, p.secondDocument(root)
	}
	return root, nil
}

// decode reads one document. A panic of the library becomes an error: a file must never stop a node that reloads it.
func decode(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	doc = new(yaml.Node)
	if err = dec.Decode(doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, io.EOF
	}
	return doc, nil
}

// badBytes finds the first byte that no YAML file has.
func (p *page) badBytes() *yamlError {
	for i, r := range p.src {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(p.src[i:]); n == 1 {
				return &yamlError{at: i, n: 1, msg: "not YAML: the file is not UTF-8 here", hint: "save it as UTF-8"}
			}
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff {
			return &yamlError{at: i, n: utf8.RuneLen(r), msg: fmt.Sprintf("not YAML: a control character, %U", r),
				hint: `in double quotes it is written as \x and two digits`}
		}
	}
	return nil
}

func (p *page) secondDocument(root *yaml.Node) *yamlError {
	for n := root.Line + 1; n <= len(p.lines); n++ {
		if s := p.line(n); strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
			return &yamlError{at: p.lines[n-1], n: 3, msg: "one policy per file", hint: "--policy can be given several times"}
		}
	}
	return &yamlError{msg: "one policy per file"}
}

// translate says a YAML error in the words of somebody who writes a policy, at the place that it is about.
func (p *page) translate(err error) *yamlError {
	msg, guess := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if number, after, ok := strings.Cut(rest, ": "); ok {
			guess, _ = strconv.Atoi(number)
			msg = after
		}
	}
	n := p.culprit(msg, guess)
	line := p.line(n)
	begin := p.lines[n-1]
	indent := len(line) - len(strings.TrimLeft(line, " \t"))

	if e := p.bracesInFlow(n); e != nil && strings.HasPrefix(msg, "did not find expected") {
		return e
	}
	if t := strings.IndexByte(line[:indent], '\t'); t >= 0 {
		tabs := len(line[t:indent]) - len(strings.TrimLeft(line[t:indent], "\t"))
		return &yamlError{at: begin + t, n: tabs, msg: "a tab where YAML wants spaces"}
	}
	whole := &yamlError{at: begin + indent, n: max(1, len(strings.TrimRight(line[indent:], " \t")))}
	at := func(i, n int) {
		if i >= 0 {
			whole.at, whole.n = begin+i, n
		}
	}
	switch {
	case strings.HasPrefix(msg, "mapping values are not allowed"):
		msg = "a mapping value is not allowed here"
		colons := outside(line, ':')
		if len(colons) > 1 {
			at(colons[1], 1)
			whole.hint = `a value with ": " in it needs quotes`
		} else {
			if len(colons) == 1 {
				at(colons[0], 1)
			}
			whole.hint = "is the line indented like its neighbours, and does the one above have a space behind its colon?"
		}
	case strings.HasPrefix(msg, "did not find expected ',' or"):
		c, close := "{", "}"
		if strings.Contains(msg, "]") {
			c, close = "[", "]"
		}
		at(strings.LastIndex(line, c), 1)
		msg = fmt.Sprintf("the %s here has no %s, or a comma is missing in it", c, close)
	case msg == "did not find expected key":
		msg = "this line does not fit in with those above it"
		whole.hint = "is it indented like its neighbours?"
		if q := regexp.MustCompile(`("[^"]*"|'[^']*') *([^ ,#\]}:].*)$`).FindStringSubmatchIndex(line); q != nil {
			at(q[4], q[5]-q[4])
			whole.hint = "nothing but a comment may follow a closing quote"
		}
	case strings.HasPrefix(msg, "could not find expected ':'"):
		msg, whole.hint = `"name: value" is expected here`, ""
	case strings.HasPrefix(msg, "did not find expected '-'"):
		msg = `an item of the list above, "- ...", is expected here`
	case strings.HasPrefix(msg, "found character that cannot start"):
		msg = "a value cannot start with this character"
		if m := regexp.MustCompile("[:\\[{,-] *([@`%\t])").FindStringSubmatchIndex(line); m != nil {
			at(m[2], 1)
		}
		whole.hint = "put the value in quotes"
	case msg == "found unexpected end of stream":
		msg = "the quote that starts here is never closed"
		at(strings.IndexAny(line, `"'`), 1)
	case strings.HasPrefix(msg, "did not find expected node content"):
		msg = "a value is expected here"
	case msg == "found unknown escape character":
		msg, whole.hint = `\ and this letter mean nothing in double quotes`, "single quotes take everything as it is"
		if m := regexp.MustCompile(`\\[^0abtnvfre "/\\N_LPxuU\t]`).FindStringIndex(line); m != nil {
			at(m[0], m[1]-m[0])
		}
	case strings.HasPrefix(msg, "block sequence entries"):
		msg, whole.hint = "a list cannot start here", "begin it on the next line, or write [a, b]"
		if i := strings.Index(line, ": -"); i >= 0 {
			at(i+2, len(strings.TrimRight(line[i+2:], " \t")))
		}
	case strings.HasPrefix(msg, "unknown anchor"):
		name := strings.TrimSuffix(strings.TrimPrefix(msg, "unknown anchor '"), "' referenced")
		at(strings.Index(line, "*"+name), 1+len(name))
		msg, whole.hint = "no anchor is called "+quote(name), "a value that begins with * needs quotes"
	}
	whole.msg = "not YAML: " + msg
	return whole
}

// culprit returns the number of the line with which the error comes: the least such that the file up to it fails in
// the same way. From the wrong line on, every longer part fails so too; of shorter parts some may, in an open bracket
// or quote, and then any of its lines will do. The library's guess is tried first: it is often right, or one too small.
func (p *page) culprit(msg string, guess int) int {
	// A megabyte takes the library most of a second, and twenty times that is too long for a node that reloads.
	// Files of which a policy is made are far from this budget, in bytes.
	budget := 4 * MaxFile
	fails := func(lines int) bool {
		if lines < 1 {
			return false
		}
		part := p.src
		if lines < len(p.lines) {
			part = p.src[:p.lines[lines]]
		}
		budget -= len(part)
		_, err := decode(yaml.NewDecoder(strings.NewReader(part)))
		return err != nil && strings.HasSuffix(err.Error(), msg)
	}
	good, bad := 0, len(p.lines)
	for _, n := range []int{guess, guess + 1} {
		if n > good && n < bad && fails(n) {
			bad = n
		} else if n > good && n < bad {
			good = n
		}
	}
	for bad-good > 1 && budget > 0 {
		if mid := (good + bad) / 2; fails(mid) {
			bad = mid
		} else {
			good = mid
		}
	}
	if bad == len(p.lines) && bad > 1 && p.line(bad) == "" {
		bad-- // behind the last line break there is nothing to show
	}
	return bad
}

// outside returns where c stands as YAML's indicator in a line: outside of quotes and before a space or the end.
func outside(line string, c byte) []int {
	var at []int
	var quote byte
	for i := range len(line) {
		switch {
		case quote != 0:
			if line[i] == quote {
				quote = 0
			}
		case (line[i] == '"' || line[i] == '\'') && (i == 0 || strings.IndexByte(" [{,:", line[i-1]) >= 0):
			quote = line[i]
		case line[i] == c && (i+1 == len(line) || line[i+1] == ' '):
			at = append(at, i)
		}
	}
	return at
}

// braces is a pattern or a template without quotes: in { } and [ ] YAML takes their braces for its own.
var braces = regexp.MustCompile(`([{\[,:] *)((?:[A-Za-z]+ +)?[^\s"',{}\[\]]*(?:/[^\s"',{}\[\]]*|\$)\{[^\s"',{}]*\}(?:[^\s"',\]{}]|\{[^\s"',{}]*\})*)`)

func (p *page) bracesInFlow(n int) *yamlError {
	line := p.line(n)
	m := braces.FindStringSubmatchIndex(line)
	if m == nil {
		return nil
	}
	flow, what := "{ }", "pattern"
	if open := strings.LastIndexAny(line[:m[4]], "{["); open >= 0 && line[open] == '[' {
		flow = "[ ]"
	}
	text := line[m[4]:m[5]]
	if !strings.Contains(text, "/") {
		what = "value"
	}
	return &yamlError{at: p.lines[n-1] + m[4], n: len(text), msg: fmt.Sprintf(`in %s a %s with braces needs quotes: "%s"`, flow, what, text)}
}
