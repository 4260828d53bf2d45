//go:build race

package httpserver

func init() { raceEnabled = true }
