//go:build race

package node

// stall is how much longer than usual nodes must be patient: the race detector makes everything several times slower.
const stall = 4
