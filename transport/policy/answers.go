package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What is sent: `headers` on every answer and `denied`, the policy's and those of rules.

const (
	// MaxTemplate is the size of a denial's body in bytes, before its values are put in. A denial has to be cheap.
	MaxTemplate = 8 << 10
	// maxHeaderValue is the size of a header's value: proxies refuse answers with more than 4 or 8 KiB of headers.
	maxHeaderValue = 1 << 10
	// maxHeaders is how many headers one section may name.
	maxHeaders = 32
)

// notOurs are the headers that frame a message or belong to one connection: the server's business.
var notOurs = []string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

// headers reads a map of header names and templates; ~ takes one away.
func (d *decoder) headers(n *yaml.Node) []header {
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "X-RateLimit-Limit: ${limit}", "headers is a map of names and templates")
		return nil
	}
	if len(n.Content)/2 > maxHeaders {
		d.errorf(n, "", "%d headers; the most is %d", len(n.Content)/2, maxHeaders)
		return nil
	}
	var list []header
	lines := make(map[string]int)
	d.entries(n, "headers", "header ", func(key, val *yaml.Node) {
		name := strings.ToLower(key.Value)
		switch before, twice := lines[name]; {
		case slices.Contains(notOurs, name):
			d.errorf(key, "", "%s cannot be set here", key.Value)
			return
		case twice:
			d.errorf(key, "", "header %s is here twice; it is first on line %d", quote(key.Value), before)
			return
		}
		if !d.headerName(key) {
			return
		}
		lines[name] = key.Line
		h := header{name: key.Value}
		switch {
		case isNull(val) && val.Value == "":
			d.errorf(key, "~ takes a header away", "header %s has no value", quote(key.Value))
			return
		case isNull(val):
			h.removed = true
		default:
			what := "header " + quote(key.Value)
			text, ok := d.text(val, what)
			if !ok {
				return
			}
			if !d.headerValue(val, what, text) {
				return
			}
			h.value = d.template(val, text)
		}
		list = append(list, h)
	})
	return list
}

func (d *decoder) headerValue(n *yaml.Node, what, text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\r' || c == '\n':
			hint := ""
			if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				hint = "write the value behind the name, without | or >"
			}
			d.fault(n, what+": ", fault{i, 1, "a line break is not allowed in a header", hint})
			return false
		case c < ' ' && c != '\t' || c == 0x7f:
			d.fault(n, what+": ", fault{i, 1, "a control character is not allowed in a header", ""})
			return false
		}
	}
	if len(text) > maxHeaderValue {
		d.errorf(n, "", "%s: the value is %d bytes; the most is %d", what, len(text), maxHeaderValue)
		return false
	}
	return true
}

// template reads a template and reports its faults.
func (d *decoder) template(n *yaml.Node, text string) template {
	t, faults := parseTemplate(text)
	for _, f := range faults {
		d.fault(n, "", f)
	}
	for _, p := range t.parts {
		if p.literal == "" && p.value == valueCurrent && d.current[1] == 0 {
			to := d.spread(n)
			d.current = [2]int{to[p.at], to[p.at+p.n] - to[p.at]}
		}
	}
	return t
}

// A denial is a `denied` while it is read.
type denial struct{ *denied }

var deniedFields = []field[denial]{
	{"status", readStatus},
	{"headers", func(d *decoder, r denial, key, val *yaml.Node) { r.headers = overlay(r.headers, d.headers(val)) }},
	{"body", readBody}, // behind headers: they say what the body must be
}

func readDenied(d *decoder, p *Policy, key, val *yaml.Node) {
	fields(d, val, "denied", deniedFields, denial{&p.denied})
}

// readRuleDenied reads a rule's own: what it names replaces the policy's.
func readRuleDenied(d *decoder, r *ruleNodes, key, val *yaml.Node) {
	own := d.p.denied
	own.headers = slices.Clone(own.headers)
	fields(d, val, "denied", deniedFields, denial{&own})
	r.rule.denied = &own
}

// overlay lays headers over others: one of the same name replaces, any other is added.
func overlay(under, over []header) []header {
	list := slices.Clone(under)
	for _, h := range over {
		i := slices.IndexFunc(list, func(u header) bool { return strings.EqualFold(u.name, h.name) })
		if i >= 0 {
			list[i] = h
		} else {
			list = append(list, h)
		}
	}
	return list
}

func readStatus(d *decoder, r denial, key, val *yaml.Node) {
	s, ok := d.text(val, "status")
	if !ok {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 400 || n > 599 {
		d.errorf(val, "429 is the usual one", "status %s: a denial is 400 to 599", clipped(s))
		return
	}
	r.status = n
}

func clipped(s string) string {
	if len(s) > 20 {
		return quote(s)
	}
	return s
}

func readBody(d *decoder, r denial, key, val *yaml.Node) {
	text, ok := d.text(val, "body")
	if !ok {
		return
	}
	if len(text) > MaxTemplate {
		d.errorf(key, "", "the body is %d bytes; the most is %d", len(text), MaxTemplate)
		return
	}
	known := len(d.ps)
	r.body, r.problem = d.template(val, text), false
	sound := len(d.ps) == known

	given := ""
	for _, h := range r.headers {
		if strings.EqualFold(h.name, "Content-Type") && !h.removed {
			given = h.value.text
		}
	}
	// What begins like an object or a list is meant to be JSON, and a client that gets half of one will not say so.
	trimmed := strings.TrimSpace(text)
	meant := trimmed != "" && (trimmed[0] == '{' || trimmed[0] == '[')
	if given != "" {
		meant = strings.Contains(strings.ToLower(given), "json")
	}
	plain, origin := r.body.dummy()
	var any any
	err := json.Unmarshal([]byte(plain), &any)
	switch {
	case given != "":
		r.contentType = given
	case trimmed == "":
		r.contentType = ""
	case err == nil:
		r.contentType = "application/json"
	default:
		r.contentType = "text/plain"
	}
	if err != nil && meant && sound {
		d.fault(val, "body: not JSON once the values are put in: ", jsonFault(err, text, plain, origin, &r.body))
	}
}

// jsonFault says where in a template the JSON goes wrong.
func jsonFault(err error, text, plain string, origin func(int) int, t *template) fault {
	if open := neverClosed(plain); open != "" {
		return fault{len(strings.TrimRight(text, " \t\r\n")), 1, fmt.Sprintf("the %s that starts here is never closed", open), ""}
	}
	f := fault{at: 0, n: 1, msg: strings.TrimPrefix(err.Error(), "json: ")}
	if e := new(json.SyntaxError); errors.As(err, &e) {
		f.at = origin(max(int(e.Offset)-1, 0))
	}
	for _, p := range t.parts {
		if p.literal != "" || f.at < p.at || f.at >= p.at+p.n {
			continue
		}
		f.n = p.n
		switch values[p.value].kind {
		case kindText:
			f.msg, f.hint = "${"+values[p.value].name+"} is text", `in JSON it goes between quotes: "${`+values[p.value].name+`}"`
		case kindField:
			f.msg = "${" + values[p.value].name + "} has quotes of its own, and is for a header"
		}
	}
	if before := strings.TrimRight(text[:min(f.at, len(text))], " \t\r\n"); f.hint == "" && strings.HasSuffix(before, ",") {
		f.hint = "no comma behind the last entry"
	}
	return f
}

// neverClosed says what is still open at the end of a text that was meant to be JSON: object, list, string or "".
func neverClosed(s string) string {
	var open []byte
	inString := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			open = append(open, c)
		case (c == '}' || c == ']') && len(open) > 0 && open[len(open)-1] == c-2:
			open = open[:len(open)-1]
		}
	}
	switch {
	case inString:
		return "string"
	case len(open) == 0:
		return ""
	case open[len(open)-1] == '[':
		return "list"
	}
	return "object"
}
