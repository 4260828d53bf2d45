package policy

import (
	"embed"
	"slices"
)

// Policies to start from: four published APIs, and a small commented one.

//go:embed examples/*.yaml
var examples embed.FS

var exampleNames = []string{"ipto", "license-api", "web3market", "xola"}

// ExampleNames lists the policies that Example knows, sorted.
func ExampleNames() []string { return slices.Clone(exampleNames) }

// Example returns the policy file of a published API (`stint policy example NAME`), as a copy.
func Example(name string) ([]byte, bool) {
	if !slices.Contains(exampleNames, name) {
		return nil, false
	}
	return mustExample(name), true
}

// Init returns the small commented policy that `stint policy init` prints, as a copy. It passes the check without a
// warning.
func Init() []byte { return mustExample("init") }

func mustExample(name string) []byte {
	b, err := examples.ReadFile("examples/" + name + ".yaml")
	if err != nil {
		panic("policy: an example is not in the binary: " + err.Error()) // embedded above; cannot happen
	}
	return b
}
