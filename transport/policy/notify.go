package policy

import (
	"net/url"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// `notify` is read for its shape only: webhooks are not built, and a file that asks for them is told so instead of
// being silently ignored.

type notification struct{}

var notifyFields = []field[notification]{
	{"url", func(d *decoder, _ notification, key, val *yaml.Node) {
		s, ok := d.text(val, "url")
		if !ok {
			return
		}
		if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			d.errorf(val, "url: https://hooks.example.com/limits", "url: this is not an http or https address")
		}
	}},
	{"secret_file", func(d *decoder, _ notification, key, val *yaml.Node) {
		if s, ok := d.text(val, "secret_file"); ok && s == "" {
			d.errorf(val, "", "secret_file: the name is empty")
		}
	}},
	{"at", func(d *decoder, _ notification, key, val *yaml.Node) {
		for _, n := range d.items(val, "at") {
			s, ok := d.text(n, "at")
			if !ok || s == "denied" {
				continue
			}
			digits, percent := strings.CutSuffix(s, "%")
			if v, err := strconv.Atoi(digits); !percent || err != nil || v < 1 || v > 100 {
				d.errorf(n, "at: [80%, denied]", "at: %s is not 1%% to 100%% or denied", quote(s))
			}
		}
	}},
}

func readNotify(d *decoder, p *Policy, key, val *yaml.Node) {
	d.at(Warning, key, "", "notify is not built yet: nothing will be sent")
	if val.Kind != yaml.SequenceNode {
		d.errorf(val, "- url: https://hooks.example.com/limits", "notify is a list of: url, secret_file, at")
		return
	}
	for _, n := range d.items(val, "notify") {
		seen := fields(d, n, "a notification", notifyFields, notification{})
		if n.Kind == yaml.MappingNode && seen["url"] == nil {
			d.errorf(firstOf(n), "url: https://hooks.example.com/limits", "a notification has a url")
		}
	}
}
