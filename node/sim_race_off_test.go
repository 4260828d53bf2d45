//go:build !race

package node

const simDefault = ""
