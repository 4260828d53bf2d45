//go:build !race

package node

const stall = 1
