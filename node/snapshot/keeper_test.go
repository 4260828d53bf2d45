package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

const parts = 7

var hasher = bucket.NewHasher(nil)

// A host is a machine with a disk, on which one node runs after the other; its wall clock is as it is set.
type host struct {
	*testing.T
	dir  string
	wall time.Time
	log  bytes.Buffer
	node
}

// A node is one run: a table and its keeper.
type node struct {
	table    *bucket.Table
	keeper   *Keeper
	versions []hold.Version
	got      map[int]hold.Version
}

func newHost(t *testing.T) *host {
	h := &host{T: t, dir: t.TempDir(), wall: noon}
	h.start(1000)
	return h
}

// start starts a node with nothing in memory; it restores what is on disk.
func (h *host) start(maxLines int) {
	h.log.Reset()
	h.node = node{
		table:    bucket.NewTable(bucket.Config{Partitions: parts, MaxLines: maxLines}),
		versions: make([]hold.Version, parts), got: map[int]hold.Version{},
	}
	h.keeper = NewKeeper(KeeperConfig{
		Dir: h.dir, Node: "n0", Cluster: Cluster{HashKey: 7, Partitions: parts, Constants: "c"}, Table: h.table,
		Now: func() bucket.Instant { return bucket.Instant(h.wall.UnixMicro()) }, Wall: func() time.Time { return h.wall },
		Versions: func() []hold.Version { return h.versions }, Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	h.keeper.Restore(func(p int, v hold.Version) { h.got[p] = v })
}

// hold lets the node hold all partitions from an epoch on.
func (h *host) hold(epoch uint64) {
	for i := range parts {
		p := h.table.Partition(i)
		p.SetState(bucket.Open, epoch)
		p.SetHistory(bucket.Name{Epoch: epoch, Start: 5})
		h.versions[i] = hold.Version{Epoch: epoch, Start: 5}
	}
}

// save saves what there is, as Run does.
func (h *host) save() { h.keeper.save(func() bool { return false }, false) }

// take spends hits of a limit and returns how it stands.
func (h *host) take(key, limit string, hits uint32) bucket.State {
	h.Helper()
	l, err := bucket.Parse(limit)
	if err != nil {
		h.Fatal(err)
	}
	id := hasher.Key([]byte(key)).ID(l.Window, bucket.Scope("", "inline", l.Window, l.Algorithm))
	out := bucket.Outcome{}
	now := bucket.Instant(h.wall.UnixMicro())
	if err := h.table.Partition(id.Partition(parts)).Take(now, []bucket.Want{{ID: id, Limit: l}}, hits, &out); err != nil {
		h.Fatal(err)
	}
	return out.State
}

func (h *host) remaining(key, limit string, want uint32) {
	h.Helper()
	if s := h.take(key, limit, 0); s.Remaining != want {
		h.Errorf("%s under %s: %d remaining, want %d", key, limit, s.Remaining, want)
	}
}

func (h *host) says(want string) {
	h.Helper()
	if !strings.Contains(h.log.String(), want) {
		h.Errorf("no %q in the log:\n%s", want, h.log.String())
	}
}

func TestWhatWasSpentIsBack(t *testing.T) {
	h := newHost(t)
	h.says("no snapshot yet")
	h.hold(3)
	for i := range 50 {
		h.take(fmt.Sprint("k", i), "100/1h", uint32(i))
	}
	h.take("fixed", "10/1d fixed_window", 4)
	h.take("token", "60/1h token_bucket", 60)
	h.take("few", "5/1h", 3)
	h.wall = h.wall.Add(5 * time.Minute)
	h.take("few", "5/1h", 2)
	h.save()

	h.wall = h.wall.Add(10 * time.Minute)
	h.start(1000)
	h.says("restored a snapshot")
	if len(h.got) != parts || h.got[2].Epoch != 3 || h.got[2].Start != 5 || h.got[0].Seq+h.got[1].Seq+h.got[2].Seq == 0 {
		t.Errorf("versions %v", h.got)
	}
	h.hold(4)
	for i := range 50 {
		h.remaining(fmt.Sprint("k", i), "100/1h", uint32(100-i))
	}
	h.remaining("fixed", "10/1d fixed_window", 6)
	h.remaining("token", "60/1h token_bucket", 15) // a quarter of an hour later
	h.remaining("few", "5/1h", 0)
	h.wall = noon.Add(time.Hour - time.Second)
	h.remaining("few", "5/1h", 0)
	h.wall = noon.Add(time.Hour + time.Second)
	h.remaining("few", "5/1h", 3)
	h.wall = noon.Add(time.Hour + 5*time.Minute + time.Second)
	h.remaining("few", "5/1h", 5)
}

// Saved again and again, and restored from what was restored: windows end when they always would have.
func TestRestartsMoveNoWindow(t *testing.T) {
	h := newHost(t)
	h.hold(1)
	h.take("k", "5/1h", 5)
	for i := range 50 {
		h.wall = h.wall.Add(time.Minute)
		h.keeper.Last(context.Background())
		h.wall = h.wall.Add(10 * time.Second)
		h.start(1000)
		h.hold(uint64(2 + i))
		h.remaining("k", "5/1h", 0)
	}
	h.wall = noon.Add(time.Hour - time.Second)
	h.remaining("k", "5/1h", 0)
	h.wall = noon.Add(time.Hour + time.Millisecond)
	h.remaining("k", "5/1h", 5)
}

// Lines that count no more need no room, and what has no room is told.
func TestRoom(t *testing.T) {
	h := newHost(t)
	h.hold(1)
	for i := range 500 {
		h.take(fmt.Sprint("short", i), "5/1m", 5)
	}
	for i := range 100 {
		h.take(fmt.Sprint("long", i), "5/1h", 5)
	}
	h.save()
	h.wall = h.wall.Add(2 * time.Minute)
	h.start(100)
	if n := h.table.Stats().Lines; n != 100 || len(h.got) != parts {
		t.Errorf("%d lines of %d partitions, want 100 of all", n, len(h.got))
	}
	h.start(50)
	if n := h.table.Stats().Lines; n > 50 || n == 0 || len(h.got) == parts || len(h.got) == 0 {
		t.Errorf("%d lines of %d partitions: more than fit, or nothing", n, len(h.got))
	}
	h.says("raise --max-lines")
	if s := h.keeper.Stats(); s.Restored != len(h.got) || s.Lost != parts-len(h.got) {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(Path(h.dir, "n0")); err != nil {
		t.Errorf("a good snapshot was set aside: %v", err)
	}
}

// Lines whose bytes are good and mean nothing are lost, and not the others.
func TestLinesThatMeanNothing(t *testing.T) {
	h := newHost(t)
	h.hold(1)
	h.take("k", "5/1h", 5)
	h.save()
	path := Path(h.dir, "n0")
	var ps []Partition
	good := 0
	_, err := Read(path, h.keeper.cfg.Cluster, h.wall, func(p *Partition, _ time.Duration) error {
		q := *p
		if q.Lines = bytes.Clone(p.Lines); len(ps) > 0 && good == 0 {
			q.Lines = append(q.Lines, 0)
			good++
		}
		ps = append(ps, q)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Create(path, Header{h.keeper.cfg.Cluster, "n0", h.wall})
	if err != nil {
		t.Fatal(err)
	}
	for i := range ps {
		if err := w.Add(&ps[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	h.start(1000)
	h.says("damaged, and was set aside")
	if s := h.keeper.Stats(); s.Restored != parts-1 || s.Lost != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not set aside: %v", err)
	}
}

// A node that has nothing, or does not know what it has, leaves what it said before; one that has no news does not write.
func TestOnlyNewsIsSaved(t *testing.T) {
	h := newHost(t)
	path := Path(h.dir, "n0")
	h.save()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("saved nothing: %v", err)
	}
	h.hold(1)
	h.take("k", "5/1h", 5)
	h.save()
	h.wall = h.wall.Add(time.Minute)
	h.save()
	if s := h.keeper.Stats(); s.Saves != 1 || !s.Saved.Equal(h.wall) || s.Bytes == 0 {
		t.Errorf("without news: %+v", s)
	}
	h.take("k2", "5/1h", 5)
	h.save()
	h.hold(2)
	h.save()
	if s := h.keeper.Stats(); s.Saves != 3 {
		t.Errorf("%d saves, want one for the hit and one for the hold", s.Saves)
	}
	h.versions = nil
	h.keeper.Last(context.Background())
	h.start(1000)
	h.keeper.Last(context.Background())
	h.start(1000)
	if len(h.got) != parts {
		t.Errorf("%d partitions after a node that had nothing", len(h.got))
	}
}

// A copy is saved in the version that it has; of what is held the version goes up to the last hit.
func TestVersions(t *testing.T) {
	h := newHost(t)
	h.hold(6)
	for i := range 30 {
		h.take(fmt.Sprint("k", i), "5/1h", 1)
	}
	h.table.Partition(0).SetState(bucket.Shut, 0)
	h.versions[0] = hold.Version{Epoch: 2, Start: 9, Seq: 77}
	h.versions[1] = hold.Version{}
	h.table.Partition(1).SetState(bucket.Shut, 0)
	want := map[int]hold.Version{0: h.versions[0]}
	for i := 2; i < parts; i++ {
		want[i] = hold.Version{Epoch: 6, Start: 5, Seq: h.table.Partition(i).Seq()}
		if want[i].Seq == 0 {
			t.Fatalf("nothing in partition %d", i)
		}
	}
	h.save()
	h.start(1000)
	if !reflect.DeepEqual(h.got, want) {
		t.Errorf("got  %v\nwant %v", h.got, want)
	}
}

// After the last save nobody can spend what is not in it.
func TestTheLastSaveIsTheLast(t *testing.T) {
	h := newHost(t)
	h.hold(1)
	// Two partitions' worth of callers go on while the node leaves.
	var spenders sync.WaitGroup
	var over atomic.Bool
	limit, err := bucket.Parse("1000000/1h")
	if err != nil {
		t.Fatal(err)
	}
	spent := make([]uint32, 4)
	ids := make([]bucket.ID, len(spent))
	now := bucket.Instant(h.wall.UnixMicro())
	started := make(chan struct{}, len(spent))
	for i := range spent {
		ids[i] = hasher.Key([]byte(fmt.Sprint("k", i))).ID(limit.Window, bucket.Scope("", "inline", limit.Window, limit.Algorithm))
		part := h.table.Partition(ids[i].Partition(parts))
		spenders.Go(func() {
			var out bucket.Outcome
			for !over.Load() && part.Take(now, []bucket.Want{{ID: ids[i], Limit: limit}}, 1, &out) == nil {
				if spent[i]++; spent[i] == 1 {
					started <- struct{}{}
				}
				runtime.Gosched()
			}
		})
	}
	for range spent {
		<-started
	}
	h.keeper.Last(context.Background())
	over.Store(true)
	spenders.Wait()
	h.take2(ids[0], limit)
	h.versions[0].Epoch++
	h.save()
	h.keeper.Last(context.Background())
	if s := h.keeper.Stats(); s.Saves != 1 {
		t.Errorf("%d saves, want 1", s.Saves)
	}
	h.start(1000)
	h.hold(2)
	for i := range spent {
		h.remaining(fmt.Sprint("k", i), "1000000/1h", 1000000-spent[i])
	}
}

// take2 expects the partition to be frozen.
func (h *host) take2(id bucket.ID, l bucket.Limit) {
	h.Helper()
	var out bucket.Outcome
	err := h.table.Partition(id.Partition(parts)).Take(bucket.Instant(h.wall.UnixMicro()), []bucket.Want{{ID: id, Limit: l}}, 1, &out)
	if !errors.Is(err, bucket.ErrFrozen) {
		h.Errorf("after the last save: %v", err)
	}
}

func TestADiskThatFails(t *testing.T) {
	h := newHost(t)
	h.hold(1)
	good := h.dir
	h.keeper.cfg.Dir = good + "/gone"
	h.save()
	h.save()
	if n := strings.Count(h.log.String(), "cannot save"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if s := h.keeper.Stats(); s.Failures != 2 || s.Saves != 0 || !s.Saved.IsZero() {
		t.Errorf("%+v", s)
	}
	h.keeper.cfg.Dir = good
	h.save()
	h.says("saved again")
	h.take("k", "5/1h", 1)
	h.keeper.cfg.Dir = good + "/gone"
	h.keeper.Last(context.Background())
	if n := strings.Count(h.log.String(), "cannot save"); n != 2 {
		t.Errorf("the last time was not told")
	}
}

func TestOldForeignAndFromTheFuture(t *testing.T) {
	h := newHost(t)
	h.hold(1)
	h.take("k", "5/366d", 5)
	h.save()
	h.wall = h.wall.Add(-time.Hour)
	h.start(1000)
	h.says("from the future")
	h.hold(2)
	h.remaining("k", "5/366d", 0)
	h.wall = noon.Add(MaxAge + time.Hour)
	h.start(1000)
	h.says("older than any window")
	h.wall = noon
	h.keeper.cfg.Cluster.HashKey++
	h.keeper.Restore(func(int, hold.Version) { t.Error("restored what is foreign") })
	h.says("another hash key")
	h.says("foreign-2026")
}

func TestRunSavesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.keeper.cfg.Wall = time.Now
		h.hold(1)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); h.keeper.Run(stop) }()
		for i := range uint64(3) {
			time.Sleep(Every - time.Nanosecond)
			synctest.Wait()
			if s := h.keeper.Stats(); s.Saves != i {
				t.Errorf("just before it is due: %d saves, want %d", s.Saves, i)
			}
			h.take(fmt.Sprint("k", i), "5/1h", 1)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if s := h.keeper.Stats(); s.Saves != i+1 {
				t.Errorf("when it is due: %d saves, want %d", s.Saves, i+1)
			}
		}
		close(stop)
		<-done
	})
}

// A table that takes long to write is written more seldom.
func TestRunTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.keeper.cfg.Wall = time.Now
		h.hold(1)
		slow := h.keeper.cfg.Now
		h.keeper.cfg.Now = func() bucket.Instant { time.Sleep(time.Second); return slow() }
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); h.keeper.Run(stop) }()
		time.Sleep(Every + parts*time.Second)
		for range 2 {
			h.take("k", "5/1h", 1)
			time.Sleep(share*parts*time.Second - time.Nanosecond)
			synctest.Wait()
			before := h.keeper.Stats().Saves
			time.Sleep(time.Nanosecond + parts*time.Second)
			synctest.Wait()
			if after := h.keeper.Stats().Saves; after != before+1 {
				t.Errorf("%d saves, then %d", before, after)
			}
		}
		close(stop)
		<-done
	})
}

// slow makes each partition take a while to be read, in fake time.
func (h *host) slow(d time.Duration) {
	h.keeper.cfg.Wall = time.Now
	now := h.keeper.cfg.Now
	h.keeper.cfg.Now = func() bucket.Instant { time.Sleep(d); return now() }
}

// The last save ends with its context. What it has not written by then leaves the snapshot before as it was.
func TestLastEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.hold(1)
		h.take("k", "5/1h", 1)
		h.save()
		before, err := os.ReadFile(Path(h.dir, "n0"))
		if err != nil {
			t.Fatal(err)
		}
		h.take("k", "5/1h", 4)
		h.slow(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), parts*time.Second/2)
		defer cancel()
		began := time.Now()
		h.keeper.Last(ctx)
		if took := time.Since(began); took != parts*time.Second/2 {
			t.Errorf("it took %v", took)
		}
		time.Sleep(parts * time.Second)
		synctest.Wait()
		if after, err := os.ReadFile(Path(h.dir, "n0")); err != nil || !bytes.Equal(after, before) {
			t.Errorf("the snapshot before is gone: %v", err)
		}
		if list, _ := os.ReadDir(h.dir); len(list) != 1 {
			t.Errorf("something is left behind: %v", list)
		}
		h.says("the one before stays")
		if s := h.keeper.Stats(); s.Saves != 1 || s.Failures != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A save that is under way makes room for the last one, and so for the end.
func TestLastComesFirst(t *testing.T) {
	for _, leave := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			h.hold(1)
			h.take("k", "5/1h", 1)
			h.slow(time.Second)
			stop, done := make(chan struct{}), make(chan struct{})
			go func() { defer close(done); h.keeper.Run(stop) }()
			time.Sleep(Every + 1500*time.Millisecond) // in the second partition
			began, want := time.Now(), uint64(0)
			if leave {
				h.keeper.Last(t.Context())
				want = 1
			}
			close(stop)
			<-done
			if took, most := time.Since(began), time.Duration(want*parts+1)*time.Second; took > most {
				t.Errorf("it took %v, want %v", took, most)
			}
			if s := h.keeper.Stats(); s.Saves != want || s.Failures != 0 {
				t.Errorf("leave %v: %+v", leave, s)
			}
		})
	}
}

// The largest partition that bucket knows fits into a block.
func TestBlocksAreLargeEnough(t *testing.T) {
	ls := &bucket.Lines{Past: make([]bucket.Past, 8)}
	for range 4 {
		ls.Histories = append(ls.Histories, bucket.Copy{Records: make([]bucket.Record, bucket.MaxPartitionLines/4)})
	}
	if n := len(bucket.AppendLines(nil, ls)); n > MaxLines {
		t.Errorf("%d bytes, and a block has room for %d", n, MaxLines)
	}
}
