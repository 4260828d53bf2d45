package members

import (
	"math"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
	"pgregory.net/rapid"
)

func TestMetaComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(max int) string {
			s := rapid.StringMatching(`[ -~]{0,160}`).Draw(t, "text")
			return s[:min(len(s), max)]
		}
		m := meta{
			startID: rapid.Uint64().Draw(t, "start"), peerPort: rapid.Uint16().Draw(t, "peer"), dataPort: rapid.Uint16().Draw(t, "data"),
			flags: flags(rapid.Byte().Draw(t, "flags")), ringID: rapid.Uint64().Draw(t, "ring"), hashKey: rapid.Uint64().Draw(t, "key"),
			constants: text(maxConstants), version: text(maxVersion), patience: rapid.Uint32().Draw(t, "patience"),
		}
		b := m.encode()
		// What later versions append must not disturb this one.
		for _, b := range [][]byte{b, append(b, 1, 2, 3)} {
			if got, err := decodeMeta(b); err != nil || got != m {
				t.Fatalf("%+v came back as %+v, %v", m, got, err)
			}
		}
		for n := range len(b) - m.pad() - 4 {
			if _, err := decodeMeta(b[:n]); err == nil {
				t.Fatalf("%d of %d bytes were read as if whole", n, len(b))
			}
		}
	})
}

// Memberlist panics on more than 512 bytes; some are left for later versions.
func TestMetaIsSmall(t *testing.T) {
	long := strings.Repeat("x", 1000)
	m := meta{math.MaxUint64, math.MaxUint16, math.MaxUint16, 255, math.MaxUint64, math.MaxUint64, long, long, math.MaxUint32}
	for m.pad() < maxPad {
		m.startID--
	}
	if n := len(m.encode()); n != maxMeta || n > memberlist.MetaMaxSize-120 {
		t.Errorf("the largest metadata has %d bytes, want %d", n, maxMeta)
	}
	if _, err := decodeMeta(m.encode()); err != nil {
		t.Error(err)
	}
}

// The first builds had zeros after the version, or nothing.
func TestMetaWithoutPatience(t *testing.T) {
	m := meta{startID: 1, constants: testConstants, version: "v1"}
	b := m.encode()
	b = b[:len(b)-m.pad()-4]
	for pad := range 9 {
		if got, err := decodeMeta(append(b, make([]byte, pad)...)); err != nil || got != m {
			t.Errorf("%d zeros: %+v, %v", pad, got, err)
		}
	}
}

// Members' metadata differ in length: see maxPad.
func TestMetaLengths(t *testing.T) {
	lengths := map[int]int{}
	for id := range uint64(1280) {
		for _, start := range []uint64{id + 1, id << 32} {
			lengths[len(meta{startID: start, constants: testConstants}.encode())]++
		}
	}
	for n, count := range lengths {
		if len(lengths) < 100 || count > 60 {
			t.Fatalf("%d of 2560 start IDs give %d bytes; there are %d lengths", count, n, len(lengths))
		}
	}
}

func FuzzMeta(f *testing.F) {
	good := meta{startID: 1, peerPort: 7071, dataPort: 7070, flags: serving, constants: testConstants, version: "v1", patience: 3000}.encode()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:metaFixed])
	f.Add([]byte{})
	f.Add([]byte{metaVersion})
	f.Add([]byte(strings.Repeat("\xff", 512)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if len(m.constants) > maxConstants || len(m.version) > maxVersion || !printable(m.constants+m.version) {
			t.Errorf("read %+v", m)
		}
		if again, err := decodeMeta(m.encode()); err != nil || again != m {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
