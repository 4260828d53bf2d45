//go:build amd64 || arm64

package bucket

import "unsafe"

// prefetch asks the processor to bring the cache line at p near, and does not wait for it. Go has no word for that.
//
//go:noescape
func prefetch(p unsafe.Pointer)
