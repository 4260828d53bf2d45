package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/node/hold"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ours  = Cluster{HashKey: 7, Partitions: 4093, Constants: "partitions=4093 factor=100"}
	three = []Partition{
		{Index: 0, Version: hold.Version{Epoch: 3, Start: 11, Seq: 5}, Lines: []byte("first lines")},
		{Index: 7, Version: hold.Version{Epoch: 1 << 60, Start: 12, Seq: 1 << 50}, After: 300 * time.Millisecond, Lines: []byte{}},
		{Index: 4092, Version: hold.Version{Epoch: 9, Start: 13}, After: 2 * time.Second, Lines: bytes.Repeat([]byte{0xff}, 100)},
	}
)

// write writes a snapshot in a new directory and returns its path.
func write(t *testing.T, ps ...Partition) string {
	t.Helper()
	path := Path(t.TempDir(), "n0")
	rewrite(t, path, ps...)
	return path
}

func rewrite(t *testing.T, path string, ps ...Partition) {
	t.Helper()
	w, err := Create(path, Header{ours, "n0", noon})
	if err != nil {
		t.Fatal(err)
	}
	for i := range ps {
		if err := w.Add(&ps[i]); err != nil {
			t.Fatal(err)
		}
	}
	size, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != size || st.Mode() != 0o600 {
		t.Fatalf("%v, %v: want %d bytes for the owner only", st, err, size)
	}
}

// all reads everything at a path.
func all(path string, want Cluster, now time.Time) (Info, []Partition, []time.Duration, error) {
	var ps []Partition
	var ages []time.Duration
	info, err := Read(path, want, now, func(p *Partition, age time.Duration) error {
		q := *p
		q.Lines = bytes.Clone(p.Lines)
		ps, ages = append(ps, q), append(ages, age)
		return nil
	})
	return info, ps, ages, err
}

func files(t *testing.T, path string) (names string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names += e.Name() + " "
	}
	return strings.TrimSpace(names)
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	path := write(t, three...)
	info, ps, ages, err := all(path, ours, noon.Add(time.Minute))
	if err != nil || !reflect.DeepEqual(ps, three) {
		t.Fatalf("%v\n got %v\nwant %v", err, ps, three)
	}
	if info.Header != (Header{ours, "n0", noon}) || info.Used != 3 || info.Lost != 0 || info.Age != time.Minute || info.ClockBack || info.SetAside != "" {
		t.Errorf("%+v", info)
	}
	if want := []time.Duration{time.Minute, time.Minute - 300*time.Millisecond, 58 * time.Second}; !reflect.DeepEqual(ages, want) {
		t.Errorf("ages %v, want %v: each partition has its own", ages, want)
	}
	if got := files(t, path); got != "n0.snapshot" {
		t.Errorf("left in the directory: %s", got)
	}
}

func TestAnEmptySnapshot(t *testing.T) {
	if info, ps, _, err := all(write(t), ours, noon); err != nil || len(ps) != 0 || info.Used != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

// The one before stays until the new one is complete, whatever becomes of that.
func TestTheOneBeforeStays(t *testing.T) {
	path := write(t, three[0])
	still := func(when string, want int) {
		t.Helper()
		if _, ps, _, err := all(path, ours, noon); err != nil || len(ps) != want {
			t.Errorf("%s: %d partitions, %v; want %d", when, len(ps), err, want)
		}
	}
	w, err := Create(path, Header{ours, "n0", noon})
	if err != nil {
		t.Fatal(err)
	}
	w.Add(&three[1])
	still("while the next is written", 1)
	w.Abort()
	still("after it was given up", 1)
	if got := files(t, path); got != "n0.snapshot" {
		t.Errorf("left in the directory: %s", got)
	}
	// A crash leaves a part of the next behind.
	if err := os.WriteFile(path+".new", bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	still("after a crash", 1)
	rewrite(t, path, three...)
	still("after the next", 3)

	w, err = Create(path, Header{ours, "n0", noon})
	if err != nil {
		t.Fatal(err)
	}
	w.Add(&three[0])
	w.file.Close() // as if the disk were gone
	if _, err := w.Commit(); err == nil {
		t.Error("committed to a closed file")
	}
	still("after a failed one", 3)
	if got := files(t, path); got != "n0.snapshot" {
		t.Errorf("left in the directory: %s", got)
	}
	w.Abort() // does no harm
}

func TestAWriterRefuses(t *testing.T) {
	for _, p := range []Partition{
		{Index: -1}, {Index: 4093}, {Index: 1 << 16},
		{Index: 1, Lines: make([]byte, MaxLines+1)},
		{Index: 1, After: -time.Microsecond},
		{Index: 0}, // again
	} {
		path := Path(t.TempDir(), "n0")
		w, err := Create(path, Header{ours, "n0", noon})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(&Partition{}); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(&p); err == nil {
			t.Errorf("partition %d with %d bytes accepted", p.Index, len(p.Lines))
		}
		if _, err := w.Commit(); err == nil {
			t.Error("committed after an error")
		}
		if got := files(t, path); got != "" {
			t.Errorf("left in the directory: %s", got)
		}
	}
	if _, err := Create(filepath.Join(t.TempDir(), "none", "x"), Header{ours, "n0", noon}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
	if _, err := Create(Path(t.TempDir(), "n0"), Header{ours, strings.Repeat("n", 256), noon}); err == nil {
		t.Error("a name of 256 bytes accepted")
	}
}

// A partition as large as bucket lets it become fits in.
func TestTheLargestPartitionFits(t *testing.T) {
	big := Partition{Index: 1, Lines: bytes.Repeat([]byte{1, 2, 3, 4}, MaxLines/4)}
	if _, ps, _, err := all(write(t, big), ours, noon); err != nil || len(ps) != 1 || !bytes.Equal(ps[0].Lines, big.Lines) {
		t.Errorf("%d partitions, %v", len(ps), err)
	}
}

// Whatever byte is wrong: what is used is as it was written, the file is set aside, and the loss is told.
func TestAnyDamage(t *testing.T) {
	good, err := os.ReadFile(write(t, three...))
	if err != nil {
		t.Fatal(err)
	}
	path := Path(t.TempDir(), "n0")
	try := func(what string, b []byte) Info {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		info, ps, _, err := all(path, ours, noon)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Fatalf("%s: %v", what, err)
		}
		for i, p := range ps {
			for _, w := range three {
				if w.Index == p.Index && !reflect.DeepEqual(p, w) {
					t.Fatalf("%s: partition %d is used, as %v", what, i, p)
				}
			}
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: not set aside", what)
		}
		if aside, err := os.ReadFile(info.SetAside); err != nil || !bytes.Equal(aside, b) {
			t.Fatalf("%s: set aside as %q: %v", what, info.SetAside, err)
		}
		if err := os.Remove(info.SetAside); err != nil {
			t.Fatal(err)
		}
		if info.Used != len(ps) || info.Used > 3 || info.Header.Node != "" && info.Used < 3 && info.Used+info.Lost < 3 {
			t.Fatalf("%s: used %d, lost %d", what, info.Used, info.Lost)
		}
		return info
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x41
		try(fmt.Sprintf("byte %d is wrong", i), b)
	}
	for i := range good {
		try(fmt.Sprintf("only %d bytes", i), good[:i])
	}
	try("more after its end", append(bytes.Clone(good), 0))
	// Damage within one partition costs no other.
	at := bytes.Index(good, []byte("first lines"))
	b := bytes.Clone(good)
	b[at]++
	if info := try("one line is wrong", b); info.Used != 2 || info.Lost != 1 {
		t.Errorf("used %d, lost %d; want 2 and 1", info.Used, info.Lost)
	}
	// Damage in a length costs all that follows.
	b = bytes.Clone(good)
	b[at-4]++
	if info := try("a length is wrong", b); info.Used != 0 || info.Lost != 3 {
		t.Errorf("used %d, lost %d; want 0 and 3", info.Used, info.Lost)
	}
	// A block that is there twice, or not at all, has good checksums of its own.
	second := bytes.Index(good[at:], []byte(partMagic)) + at
	block := good[at-partHead : second]
	try("one is missing", append(bytes.Clone(good[:second-len(block)]), good[second:]...))
	if info := try("one is there twice", append(append(bytes.Clone(good[:second]), block...), good[second:]...)); info.Used != 3 {
		t.Errorf("used %d, want 3", info.Used)
	}
}

// Lines that are not what they should be count as lost, and the file as damaged.
func TestBadLines(t *testing.T) {
	path := write(t, three...)
	info, err := Read(path, ours, noon, func(p *Partition, _ time.Duration) error {
		if p.Index == 7 {
			return errors.New("not lines")
		}
		return nil
	})
	if !errors.Is(err, ErrDamaged) || info.Used != 2 || info.Lost != 1 || !strings.Contains(info.SetAside, "n0.snapshot.damaged-2026") {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestForeign(t *testing.T) {
	change := func(f func(*Cluster)) Cluster { c := ours; f(&c); return c }
	for _, c := range []struct {
		want Cluster
		says string
	}{
		{change(func(c *Cluster) { c.HashKey++ }), "another hash key"},
		{change(func(c *Cluster) { c.Partitions = 8191 }), "4093 partitions, and this one 8191"},
		{change(func(c *Cluster) { c.Constants = "partitions=4093 factor=50" }), "factor=50"},
	} {
		path := write(t, three...)
		info, ps, _, err := all(path, c.want, noon)
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), c.says) || len(ps) != 0 {
			t.Errorf("%q: %v, %d partitions", c.says, err, len(ps))
		}
		if info.SetAside != path+".foreign-20261122T120000Z" || files(t, path) != "n0.snapshot.foreign-20261122T120000Z" {
			t.Errorf("%q: set aside as %s; there is %s", c.says, info.SetAside, files(t, path))
		}
	}
	// A later release may have changed everything but the first ten bytes.
	path := write(t)
	b := append([]byte(magic), 2, 0)
	if err := os.WriteFile(path, append(b, bytes.Repeat([]byte{9}, 100)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := all(path, ours, noon); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
}

func TestAge(t *testing.T) {
	path := write(t, three...)
	info, ps, ages, err := all(path, ours, noon.Add(-time.Hour))
	if err != nil || !info.ClockBack || info.Age != 0 || len(ps) != 3 || ages[0] != 0 || ages[2] != 0 {
		t.Errorf("a clock that went back: %+v, ages %v, %v", info, ages, err)
	}
	if _, ps, _, err = all(path, ours, noon.Add(MaxAge)); err != nil || len(ps) != 3 {
		t.Errorf("at the most: %d partitions, %v", len(ps), err)
	}
	info, ps, _, err = all(path, ours, noon.Add(MaxAge+time.Microsecond))
	if !errors.Is(err, ErrOld) || len(ps) != 0 || info.SetAside != "" {
		t.Errorf("too old: %d partitions, %+v, %v", len(ps), info, err)
	}
}

func TestNothingToRead(t *testing.T) {
	if _, _, _, err := all(Path(t.TempDir(), "n0"), ours, noon); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if info, _, _, err := all(t.TempDir(), ours, noon); err == nil || info.SetAside != "" {
		t.Errorf("a directory: %v", err)
	}
}

// A length is checked before anything is allocated for it.
func TestALyingLength(t *testing.T) {
	good, err := os.ReadFile(write(t, three[0]))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(good, []byte(partMagic))
	lie := func(lines uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at+40:], lines)
		return b
	}
	for _, lines := range []uint32{MaxLines + 1, MaxLines, 1 << 31, 1<<32 - 1} {
		b := lie(lines)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := read(bytes.NewReader(b), int64(len(b)), ours, noon, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d: %v", lines, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%d: %d bytes allocated for a file of %d", lines, n, len(b))
		}
	}
	// A file may be as long as it says, and hold more than a partition can have.
	b := append(lie(MaxLines + 1)[:at+partHead], make([]byte, MaxLines+1)...)
	b = binary.LittleEndian.AppendUint32(b, checksum(b[at:]))
	_, err = read(bytes.NewReader(b), int64(len(b)), ours, noon, func(*Partition, time.Duration) error {
		t.Error("a partition that is too large was used")
		return nil
	})
	if !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := Dir(dir); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("left in it: %v", list)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		if err := Dir(bad); err == nil {
			t.Errorf("%s accepted", bad)
		}
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	w, err := Create(Path(dir, "n0"), Header{ours, "n0", noon})
	if err != nil {
		f.Fatal(err)
	}
	for i := range three {
		if err := w.Add(&three[i]); err != nil {
			f.Fatal(err)
		}
	}
	if _, err := w.Commit(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(Path(dir, "n0"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		last := -1
		info, err := read(bytes.NewReader(b), int64(len(b)), ours, noon, func(p *Partition, age time.Duration) error {
			if p.Index <= last || p.Index >= ours.Partitions || len(p.Lines) > MaxLines || age < 0 {
				t.Errorf("partition %d after %d, age %v, with %d bytes", p.Index, last, age, len(p.Lines))
			}
			last = p.Index
			return nil
		})
		if err == nil && info.Lost > 0 || info.Used < 0 || info.Lost < 0 {
			t.Errorf("%+v, %v", info, err)
		}
	})
}
