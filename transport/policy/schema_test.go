package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type schema = map[string]any

func policySchema(t *testing.T) schema {
	var s schema
	if err := json.Unmarshal(read(t, "../../docs/policy.schema.json"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func names[T any](table []field[T]) []string {
	var list []string
	for i := range table {
		list = append(list, table[i].name)
	}
	return list
}

// The schema that editors complete from and the decoder have the same fields: every table of the decoder is a map of
// the schema, and every map of the schema with fields of its own is a table of the decoder.
func TestSchemaIsTheDecoder(t *testing.T) {
	root := policySchema(t)
	want := map[string][]string{
		"":                         names(policyFields),
		"/properties/client_ip":    names(clientIPFields),
		"/properties/notify/items": names(notifyFields),
		"/definitions/source":      append(slices.Clone(sourceKinds), sourceFlags...),
		"/definitions/rule":        names(ruleFields),
		"/definitions/override":    names(overrideFields),
		"/definitions/denied":      names(deniedFields),
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for i := range v {
				walk(fmt.Sprint(path, "/", i), v[i])
			}
		case schema:
			if p, ok := v["properties"].(schema); ok && !strings.HasSuffix(path, "/properties") {
				got := slices.Sorted(maps.Keys(p))
				slices.Sort(want[path])
				if !slices.Equal(got, want[path]) {
					t.Errorf("%q: the schema has %v, the decoder %v", path, got, want[path])
				}
				if v["additionalProperties"] != false {
					t.Errorf("%q: the schema lets unknown fields through", path)
				}
				delete(want, path)
			}
			for k := range v {
				walk(path+"/"+k, v[k])
			}
		}
	}
	walk("", root)
	for path := range want {
		t.Errorf("the schema has nothing at %q", path)
	}
}

// What the check takes the schema takes, and of the bad file it finds what a schema can find.
func TestSchemaAndCheckAgree(t *testing.T) {
	root := policySchema(t)
	for _, name := range append(ExampleNames(), "init") {
		if faults := validate(root, root, tree(t, mustExample(name)), ""); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
	ok := top + "rules:\n" + rest
	for _, c := range []struct {
		src  string
		good bool
	}{
		{ok, true},
		{ok + "denied: { status: 503, headers: { X-A: ~, X-B: 5 }, body: a }\n", true},
		{ok + "  x: { match: [/a, /b], limits: [5/1m, 10/1s token_bucket burst=20], overrides: [{ key: { user: 4 }, limits: unlimited, until: \"2099-01-01\" }] }\n", true},
		{ok + "notify: [{ url: \"https://a\", secret_file: /a, at: [80%, denied] }]\n", true},
		{ok + "denied: { status: 200 }\n", false},
		{ok + "atributes: {}\n", false},
		{ok + "failure_mode: open\n", false},
		{ok + "on_split: none\n", false},
		{ok + "  x: { match: /a }\n", false},
		{ok + "  X: { limits: 5/1m }\n", false},
		{ok + "  x: { limits: 5/1m quick }\n", false},
		{ok + "  x: { limits: [] }\n", false},
		{ok + "  x: { limits: 5/1m, overrides: [{ limits: 5/1m }] }\n", false},
		{ok + "notify: [{ url: \"ftp://a\" }]\n", false},
		{"name: a\n", false},
		{"name: A b\nkey: ip\nrules: { x: { limits: 5/1m } }\n", false},
		{"name: a\nkey: ip\nattributes: { ip: { header: X } }\nrules: { x: { limits: 5/1m } }\n", false},
	} {
		faults := validate(root, root, tree(t, []byte(c.src)), "")
		p, ps := ParseAt(testDay, "a.yaml", []byte(c.src))
		if (len(faults) == 0) != c.good || (p != nil) != c.good {
			t.Errorf("%s\nschema: %v\ncheck: %s", c.src, faults, text(ps))
		}
	}
}

func tree(t *testing.T, src []byte) any {
	var v any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	json.Unmarshal(b, &out)
	return out
}

// validate is as much of JSON Schema as ours needs; a word that it does not know is a fault.
func validate(root, s schema, v any, path string) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, path+": "+fmt.Sprintf(format, args...)) }
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	str, isString := v.(string)
	number, isNumber := v.(float64)
	for word, arg := range s {
		switch word {
		case "$schema", "title", "description", "default", "definitions":
		case "$ref":
			def := root["definitions"].(schema)[strings.TrimPrefix(arg.(string), "#/definitions/")]
			faults = append(faults, validate(root, def.(schema), v, path)...)
		case "type":
			is := map[string]bool{"object": isObject, "array": isList, "string": isString, "number": isNumber,
				"integer": isNumber && number == float64(int(number)), "null": v == nil}
			_, is["boolean"] = v.(bool)
			ok := false
			types, many := arg.([]any)
			if !many {
				types = []any{arg}
			}
			for _, name := range types {
				ok = ok || is[name.(string)]
			}
			if !ok {
				bad("%v is not %v", v, arg)
			}
		case "properties":
			for k, sub := range arg.(schema) {
				if object[k] != nil {
					faults = append(faults, validate(root, sub.(schema), object[k], path+"/"+k)...)
				}
			}
		case "additionalProperties":
			known, _ := s["properties"].(schema)
			for k := range object {
				if known[k] != nil {
					continue
				}
				if sub, ok := arg.(schema); ok {
					faults = append(faults, validate(root, sub, object[k], path+"/"+k)...)
				} else {
					bad("unknown field %s", k)
				}
			}
		case "propertyNames":
			for k := range object {
				faults = append(faults, validate(root, arg.(schema), k, path+"/"+k)...)
			}
		case "required":
			for _, k := range arg.([]any) {
				if isObject && object[k.(string)] == nil {
					bad("%s is missing", k)
				}
			}
		case "items":
			for i := range list {
				faults = append(faults, validate(root, arg.(schema), list[i], fmt.Sprint(path, "/", i))...)
			}
		case "anyOf":
			ok := false
			for _, sub := range arg.([]any) {
				ok = ok || len(validate(root, sub.(schema), v, path)) == 0
			}
			if !ok {
				bad("%v is none of %v", v, arg)
			}
		case "not":
			if len(validate(root, arg.(schema), v, path)) == 0 {
				bad("%v is not allowed", v)
			}
		case "enum":
			if !slices.Contains(arg.([]any), v) {
				bad("%v is none of %v", v, arg)
			}
		case "const":
			if v != arg {
				bad("%v is not %v", v, arg)
			}
		case "pattern":
			if isString && !regexp.MustCompile(arg.(string)).MatchString(str) {
				bad("%q does not match %s", str, arg)
			}
		case "minimum":
			if isNumber && number < arg.(float64) {
				bad("%v is less than %v", v, arg)
			}
		case "maximum":
			if isNumber && number > arg.(float64) {
				bad("%v is more than %v", v, arg)
			}
		case "minItems", "maxItems", "minProperties", "maxProperties":
			n := float64(len(list))
			if strings.HasSuffix(word, "Properties") {
				n = float64(len(object))
			}
			if (isList || isObject) && isList == strings.HasSuffix(word, "Items") {
				if strings.HasPrefix(word, "min") && n < arg.(float64) || strings.HasPrefix(word, "max") && n > arg.(float64) {
					bad("%v of them; %s is %v", n, word, arg)
				}
			}
		default:
			bad("this test does not know %q", word)
		}
	}
	return faults
}
