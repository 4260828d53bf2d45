//go:build !amd64 && !arm64

package bucket

import "unsafe"

// prefetch does nothing where nobody has written it.
func prefetch(unsafe.Pointer) {}
