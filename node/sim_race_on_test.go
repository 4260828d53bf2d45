//go:build race

package node

// The race detector makes a sim twenty times slower, so `go test -race` runs few of them unless told otherwise.
const simDefault = "restart,split"

const raceDetector = true
