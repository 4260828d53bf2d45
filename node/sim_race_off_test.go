//go:build !race

package node

const simDefault = ""

const raceDetector = false
