package ring

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
)

func build(t testing.TB, names ...string) *Ring {
	t.Helper()
	r, err := New(names)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func numbered(n int, format string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i)
	}
	return names
}

func checksum(r *Ring) uint64 {
	var b []byte
	for p := range Partitions {
		b = append(b, r.Home(p)...)
		b = binary.LittleEndian.AppendUint16(b, uint16(p))
	}
	return xxh3.Hash(b)
}

// An upgrade of the library, of the hash or of a constant that moves keys changes these sums. Never change them
// to make the test pass: nodes with the old and the new sums cannot serve in one cluster. A change that is meant needs a new
// word in Constants, so that such nodes refuse each other.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		names []string
		sum   uint64
		id    ID
	}{
		{[]string{"n0"}, 0x877d156f4c366603, 0xecba59612fd109e0},
		{numbered(3, "n%d"), 0x56b44ae319efbbe1, 0x3f31a031ae408191},
		{numbered(16, "node-%02d"), 0xf6ab6a4df6d629a7, 0x64fe58c30bc6a283},
	} {
		r := build(t, c.names...)
		if got := checksum(r); got != c.sum {
			t.Errorf("the homes of %d members moved: checksum %#x, want %#x", len(c.names), got, c.sum)
		}
		if r.ID() != c.id {
			t.Errorf("the ID of %d members changed: %#x, want %#x", len(c.names), uint64(r.ID()), uint64(c.id))
		}
	}
}

func TestConstants(t *testing.T) {
	const want = "partitions=4093 factor=100 load=1.1 hash=xxh3 library=consistent-1.0.0"
	if Constants() != want {
		t.Errorf("constants are %q, want %q: nodes with the old ones will refuse this one", Constants(), want)
	}
	if len(Constants()) > 100 {
		t.Errorf("constants take %d bytes of gossip, want at most 100", len(Constants()))
	}
	if got := ID(0x0123456789abcdef).String(); got != "01234567" {
		t.Errorf("short ID is %q", got)
	}
}

func TestBadNames(t *testing.T) {
	for _, names := range [][]string{nil, {}, {""}, {"n0", ""}, {strings.Repeat("x", MaxName+1)}, numbered(MaxMembers+1, "n%d")} {
		if _, err := New(names); err == nil {
			t.Errorf("a ring of %d names was built, want an error", len(names))
		}
	}
	build(t, strings.Repeat("x", MaxName))
}

func TestOrderAndRepeatsDoNotMatter(t *testing.T) {
	names := numbered(12, "node%d")
	want := build(t, names...)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		before := slices.Clone(names)
		got := build(t, append(names, names[:rng.IntN(6)]...)...)
		if got.ID() != want.ID() || checksum(got) != checksum(want) || !slices.Equal(got.Names(), want.Names()) {
			t.Fatalf("another order made another ring: %v", names)
		}
		if !slices.Equal(names, before) {
			t.Fatal("New changed the caller's names")
		}
	}
}

func TestIDTellsNamesApart(t *testing.T) {
	seen := map[ID][]string{}
	for _, names := range [][]string{{"a"}, {"b"}, {"a", "b"}, {"ab"}, {"a", "b", "c"}, {"ab", "c"}, {"a", "bc"}, {"a\x00b"}} {
		id := build(t, names...).ID()
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the same ID", names, other)
		}
		seen[id] = names
	}
}

// Names that differ by a digit or a dash are what people give their nodes; library versions before v1.0.0 let them collide.
func TestNearNamesWithinTheLoadBound(t *testing.T) {
	formats := []string{"node%d", "n%d", "n-%d", "%d", "1%d", "%d1", "10.0.0.%d:7072"}
	for _, format := range formats {
		for _, n := range []int{2, 3, 11, 12} {
			checkRing(t, numbered(n, format))
		}
	}
	checkRing(t, numbered(112, "n%d"))
	checkRing(t, []string{"node1", "node11", "node111", "1node", "11node", "n1", "n-1", "n_1", "n1-", "-n1", "0:n1", "1:n1", "10:n", "1:0:n"})
}

// From 1 to 200 members: the small counts one by one, then in growing steps, for a build slows with the square.
func TestManyCounts(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 17, 22, 30, 50, 85, 200} {
		checkRing(t, numbered(n, "node%d"))
	}
}

func checkRing(t *testing.T, names []string) {
	t.Helper()
	r := build(t, names...)
	bound := int(math.Ceil(float64(Partitions) / float64(len(r.Names())) * Load))
	total := 0
	for i, name := range r.Names() {
		of := r.Of(name)
		if len(of) != r.Count(name) {
			t.Fatalf("%d members: %s is home to %d partitions but counts %d", len(names), name, len(of), r.Count(name))
		}
		if len(of) > bound {
			t.Errorf("%d members: %s is home to %d partitions, over the bound of %d", len(names), name, len(of), bound)
		}
		if r.Index(name) != i {
			t.Errorf("index of %s is %d, want %d", name, r.Index(name), i)
		}
		for _, p := range of {
			if r.Home(p) != name || r.HomeIndex(p) != i {
				t.Fatalf("partition %d is listed for %s but its home is %s", p, name, r.Home(p))
			}
		}
		total += len(of)
	}
	if total != Partitions {
		t.Errorf("%d members: homes for %d partitions, want %d", len(names), total, Partitions)
	}
	if r.Of("stranger") != nil || r.Count("stranger") != 0 || r.Index("stranger") != -1 {
		t.Error("a stranger has partitions")
	}
}

// A join should move about 1/(n+1) of the partitions, nearly all of them to the newcomer.
func TestAJoinMovesLittle(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 16} {
		names := numbered(n+1, "node-%d")
		before, after := build(t, names[:n]...), build(t, names...)
		moved, astray := 0, 0
		for p := range Partitions {
			if before.Home(p) != after.Home(p) {
				moved++
				if after.Home(p) != names[n] {
					astray++
				}
			}
		}
		ideal := 1 / float64(n+1)
		share := float64(moved) / Partitions
		if math.Abs(share-ideal) > 0.04 {
			t.Errorf("join to %d members moved %.1f %% of the partitions, ideal is %.1f %%", n, 100*share, 100*ideal)
		}
		if float64(astray)/Partitions > 0.05 {
			t.Errorf("join to %d members moved %d partitions from survivor to survivor", n, astray)
		}
	}
}
