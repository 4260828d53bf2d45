package hold_test

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// BenchmarkBackup is what two machines have to do for the changes of a partition to be copied: the holder's to send them, the keeper's to
// take them in and say so, the holder's to hear it.
func BenchmarkBackup(b *testing.B) {
	const parts = 1364
	now := time.Hour
	view := func(others ...hold.Peer) hold.ViewChanged {
		return hold.ViewChanged{Home: func(int) string { return "b" }, Backup: func(int, string) string { return "c" }, Members: others, May: true}
	}
	holder := hold.New(hold.Config{Name: "b", Start: 2, Partitions: parts, Timers: hold.Patience(1)})
	keeper := hold.New(hold.Config{Name: "c", Start: 3, Partitions: parts, Timers: hold.Patience(1)})
	var mail, back []hold.Message
	collect := func(to *[]hold.Message, effects []hold.Effect) {
		for _, e := range effects {
			if s, ok := e.(*hold.Send); ok {
				*to = append(*to, s.Message)
			}
		}
	}
	holder.Step(now, hold.Tick{})
	keeper.Step(now, hold.Tick{})
	collect(&mail, holder.Step(now, view(hold.Peer{Name: "c", Start: 3, Serving: true})))
	keeper.Step(now, view(hold.Peer{Name: "b", Start: 2, Serving: true}))
	for _, m := range mail {
		if a, ok := m.(*hold.Ask); ok {
			holder.Step(now, hold.Received{From: "c", Start: 3, Message: &hold.Answer{Part: a.Part, Round: a.Round, Verdict: hold.PROMISE}})
		}
	}
	seq := uint64(1)
	due := hold.BackupDue{Seq: func(int) uint64 { return seq }}
	round := func() (sent int) {
		mail = mail[:0]
		collect(&mail, holder.Step(now, due))
		for _, m := range mail {
			c, ok := m.(*hold.Backup)
			if !ok {
				continue
			}
			sent++
			c.Seq = seq
			back = back[:0]
			collect(&back, keeper.Step(now, hold.Received{From: "b", Start: 2, Message: c, Fits: true}))
			for _, m := range back {
				holder.Step(now, hold.Received{From: "c", Start: 3, Message: m})
			}
		}
		return sent
	}
	for copied := 0; copied < parts; { // whole copies come first, some at a time
		n := round()
		if n == 0 {
			b.Fatal("nothing is sent")
		}
		copied += n
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		seq++
		n += round()
	}
}
