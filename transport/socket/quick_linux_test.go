//go:build linux && !race

package socket

import "testing"

func TestATCPConnectionIsQuick(t *testing.T) {
	x, _ := pair(t)
	if _, ok := Quick(x).(*quick); !ok {
		t.Errorf("%T", Quick(x))
	}
}
