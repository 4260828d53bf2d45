//go:build !race

package hold_test

// ordinarySeeds are what the ordinary tests run of each class: some seconds in all.
const ordinarySeeds = 16
