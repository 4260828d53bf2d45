//go:build race

package hold_test

// ordinarySeeds are few under the race detector: a machine has no goroutines, and the detector makes each world ten times slower.
const ordinarySeeds = 3
