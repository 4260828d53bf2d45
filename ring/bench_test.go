package ring

import (
	"fmt"
	"testing"
)

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 16, 64} {
		names := numbered(n, "node-%d")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				build(b, names...)
			}
		})
	}
}

func BenchmarkHome(b *testing.B) {
	r := build(b, numbered(16, "node-%d")...)
	b.ReportAllocs()
	p := 0
	for b.Loop() {
		if r.Home(p) == "" {
			b.Fatal("no home")
		}
		if p++; p == Partitions {
			p = 0
		}
	}
}
