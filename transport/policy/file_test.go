package policy

import (
	"os"
	"strings"
	"testing"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(ps Problems) string {
	var b strings.Builder
	ps.WriteText(&b)
	return b.String()
}

// The file with every common mistake in it, word for word.
func TestBadFile(t *testing.T) {
	p, ps := Parse("bad.yaml", read(t, "testdata/bad.yaml"))
	if p != nil || !ps.Err() {
		t.Error("a bad file gave a policy")
	}
	diff(t, text(ps), string(read(t, "testdata/bad.golden")))
}

func diff(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "", ""
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("line %d:\n got %q\nwant %q", i+1, a, b)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	for _, name := range []string{"ipto", "license-api", "web3market", "xola"} {
		p, ps := Parse(name+".yaml", read(t, "examples/"+name+".yaml"))
		if p == nil {
			t.Errorf("%s:\n%s", name, text(ps))
		}
	}
}
