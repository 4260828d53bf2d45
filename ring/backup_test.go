package ring

import (
	"sync"
	"testing"
)

// The law of backups, for every partition and every possible holder.
func TestBackup(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 12} {
		names := numbered(n, "n%d")
		r := build(t, names...)
		for _, holder := range append(names, "gone") {
			var without *Ring
			if rest := others(names, holder); len(rest) > 0 {
				without = build(t, rest...)
			}
			for p := range Partitions {
				got, want := r.Backup(p, holder), ""
				switch {
				case r.Home(p) != holder:
					want = r.Home(p)
				case without != nil:
					want = without.Home(p)
				}
				if got != want {
					t.Fatalf("%d members: backup of partition %d held by %s is %q, want %q", n, p, holder, got, want)
				}
				if got == holder {
					t.Fatalf("%d members: %s is its own backup for partition %d", n, holder, p)
				}
			}
		}
	}
}

// A crash should move few partitions besides those of the crashed: that is what this choice of backup is for.
func TestACrashMovesToTheBackup(t *testing.T) {
	names := numbered(5, "n%d")
	r := build(t, names...)
	after := build(t, others(names, "n2")...)
	for _, p := range r.Of("n2") {
		if after.Home(p) != r.Backup(p, "n2") {
			t.Fatalf("after the crash partition %d lives at %s, its copy was at %s", p, after.Home(p), r.Backup(p, "n2"))
		}
	}
}

// Many goroutines ask for the same and other backups at once, the first time: run with -race.
func TestBackupAtOnce(t *testing.T) {
	names := numbered(6, "n%d")
	want, r := build(t, names...), build(t, names...)
	for p := range Partitions {
		want.Backup(p, want.Home(p))
	}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			for i := range Partitions {
				p := (i*7 + g*331) % Partitions
				if got := r.Backup(p, r.Home(p)); got != want.Backup(p, r.Home(p)) {
					t.Errorf("partition %d: backup %q", p, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func others(names []string, but string) []string {
	var rest []string
	for _, n := range names {
		if n != but {
			rest = append(rest, n)
		}
	}
	return rest
}
