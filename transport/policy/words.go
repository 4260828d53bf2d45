package policy

import "strings"

// Did you mean: what somebody wrote, and the word of ours that they most likely had in mind. A list of the words that
// other limiters use comes first, then the beginning of one of ours, then the fewest slips of the finger. Prefix beats
// edit distance: `fixed` is seven edits away from fixed_window, and yet nobody means anything else by it.

// foreign maps words of other limiters, proxies and frameworks to ours. A word with several meanings here lists them
// all: only one of them is ever a candidate at one place of the file.
var foreign = map[string][]string{
	"epoch":                {"reset_unix"},
	"unix":                 {"reset_unix"},
	"timestamp":            {"reset_unix", "reset_time"},
	"rate":                 {"limits"},
	"rate_limit":           {"limits"},
	"ratelimits":           {"limits"},
	"requests_per_unit":    {"limits"},
	"quota":                {"limits", "limit"},
	"path":                 {"match"},
	"paths":                {"match"},
	"route":                {"match"},
	"routes":               {"match"},
	"pattern":              {"match"},
	"url":                  {"match"},
	"ip_address":           {"ip"},
	"remote_addr":          {"ip"},
	"remote_address":       {"ip"},
	"client_ip":            {"ip"},
	"address":              {"ip"},
	"dry_run":              {"shadow"},
	"shadow_mode":          {"shadow"},
	"domain":               {"name"},
	"descriptors":          {"rules"},
	"descriptor":           {"key"},
	"by":                   {"key"},
	"condition":            {"when"},
	"if":                   {"when"},
	"response":             {"denied"},
	"on_denied":            {"denied"},
	"status_code":          {"status"},
	"code":                 {"status"},
	"content":              {"body"},
	"param":                {"query"},
	"parameter":            {"query"},
	"used":                 {"current"},
	"count":                {"current"},
	"hits":                 {"current"},
	"left":                 {"remaining"},
	"expires":              {"until"},
	"valid_until":          {"until"},
	"secret_key":           {"secret_file"},
	"failure_mode_deny":    {"failure_mode"},
	"fail_open":            {"failure_mode"},
	"real_ip_header":       {"headers"},
	"set_real_ip_from":     {"trusted_proxies"},
	"case_insensitive":     {"ignore_case"},
	"endpoints":            {"rules"},
	"requestheadername":    {"header"},
	"client_ip_headers":    {"headers"},
	"private_ranges":       {"private"},
	"leaky_bucket":         {"token_bucket"},
	"gcra":                 {"token_bucket"},
	"rolling_window":       {"sliding_window"},
	"fixed_window_counter": {"fixed_window"},
}

// nearest returns the candidate that word most likely stands for, or "".
func nearest(word string, candidates []string) string {
	const maxWord = 64 // nobody misspells a longer one, and edit distance is quadratic
	if word == "" || len(word) > maxWord {
		return ""
	}
	w := strings.ReplaceAll(strings.ToLower(word), "-", "_")
	for _, c := range candidates {
		if strings.ReplaceAll(c, "-", "_") == w {
			return c
		}
	}
	if c := translate(w, candidates); c != "" {
		return c
	}
	if strings.Contains(w, "_") { // reset_epoch: a foreign part
		for part := range strings.SplitSeq(w, "_") {
			if c := translate(part, candidates); c != "" {
				return c
			}
		}
	}
	if len(w) >= 3 {
		best := ""
		for _, c := range candidates {
			if strings.HasPrefix(c, w) && (best == "" || len(c) < len(best)) {
				best = c
			}
		}
		if best != "" {
			return best
		}
	}
	best, least := "", max(1, len(w)/3)+1
	for _, c := range candidates {
		if d := edits(w, c); d < least {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates { // limits_per_minute: one of ours with something after it
		if len(c) >= 3 && strings.HasPrefix(w, c) && len(c) > len(best) {
			best = c
		}
	}
	return best
}

func translate(word string, candidates []string) string {
	for _, to := range foreign[word] {
		for _, c := range candidates {
			if c == to {
				return c
			}
		}
	}
	return ""
}

// didYouMean is the hint for a word that is none of the candidates: the nearest one, or "" where none is near.
func didYouMean(word string, candidates []string) string {
	if n := nearest(word, candidates); n != "" {
		return `did you mean "` + n + `"?`
	}
	return ""
}

// edits counts the insertions, deletions, changes and swaps of neighbours that turn a into b (optimal string alignment).
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
