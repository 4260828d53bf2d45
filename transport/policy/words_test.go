package policy

import "testing"

func TestNearestWord(t *testing.T) {
	fields := []string{"name", "client_ip", "attributes", "key", "rules", "headers", "denied", "count_denied", "failure_mode", "trusted_proxies"}
	rule := []string{"match", "when", "key", "limits", "overrides", "shadow", "failure_mode", "on_split", "denied"}
	values := []string{"limit", "remaining", "current", "window", "reset", "reset_unix", "reset_time", "retry_after", "rule"}
	algorithms := []string{"fixed_window", "sliding_window", "token_bucket"}
	for _, c := range []struct {
		word string
		of   []string
		want string
	}{
		{"atributes", fields, "attributes"},
		{"Name", fields, "name"},
		{"client-ip", fields, "client_ip"},
		{"trusted", fields, "trusted_proxies"},
		{"domain", fields, "name"},
		{"haeders", fields, "headers"}, // two letters swapped are one slip
		{"limit", rule, "limits"},
		{"rate", rule, "limits"},
		{"rate_limit", rule, "limits"},
		{"requests_per_unit", rule, "limits"},
		{"path", rule, "match"},
		{"route", rule, "match"},
		{"dry_run", rule, "shadow"},
		{"ip_address", []string{"ip", "user"}, "ip"},
		{"remote_addr", []string{"ip", "user"}, "ip"},
		{"reset_epoch", values, "reset_unix"},
		{"epoch", values, "reset_unix"},
		{"retry", values, "retry_after"},
		{"fixed", algorithms, "fixed_window"}, // prefix beats edit distance
		{"head", []string{"head2", "header", "heed"}, "head2"},
		{"fixed", []string{"mixed", "fixed_window"}, "fixed_window"},
		{"zebra", rule, ""},
		{"", rule, ""},
		{"x", rule, ""},
	} {
		if got := nearest(c.word, c.of); got != c.want {
			t.Errorf("nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
	if got := didYouMean("sellr", []string{"ip", "user", "seller"}); got != `did you mean "seller"?` {
		t.Errorf("didYouMean = %q", got)
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := edits(c.a, c.b); got != c.want || edits(c.b, c.a) != c.want {
			t.Errorf("edits(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
