package admin

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// The operator's page names every metric there is, and none that there is not.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\bstint_[a-z_]+`)
	documented := name.FindAllString(string(doc), -1)
	var made []string
	for _, d := range described {
		made = append(made, name.FindString(d.String()))
	}
	for _, m := range made {
		if !slices.Contains(documented, m) {
			t.Errorf("docs/operating.md does not name %s", m)
		}
	}
	for _, m := range documented {
		if !slices.Contains(made, m) {
			t.Errorf("docs/operating.md names %s, which there is not", m)
		}
	}
}
