//go:build race

package native

func init() { raceEnabled = true }
