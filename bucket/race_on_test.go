//go:build race

package bucket

// histories is how many random histories a test runs; under the race detector each costs twenty times as much.
func histories(n int) int { return n / 20 }
