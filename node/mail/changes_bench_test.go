package mail

import (
	"fmt"
	"testing"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// BenchmarkChanges carries what changed in a partition from one table to another: a message a partition, in packets of what gathers, as
// backups go every 50 ms. The spending is not counted, nor are machines and the network.
func BenchmarkChanges(b *testing.B) {
	const held, keys = 1364, 24
	for _, changed := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("lines=%d", changed), func(b *testing.B) {
			from, to := bucket.NewTable(bucket.Config{Partitions: partitions, MaxLines: 1 << 20}), bucket.NewTable(bucket.Config{Partitions: partitions, MaxLines: 1 << 20})
			now := bucket.Instant(1 << 50)
			limit := bucket.Limit{Count: 100_000, Window: 3_600_000}
			spend := func(p, k int) {
				id := bucket.ID{Key: uint64(k) << 58, Line: uint64(limit.Window)<<28 | 5}
				var out bucket.Outcome
				if err := from.Partition(p).Take(now, []bucket.Want{{ID: id, Limit: limit}}, 1, &out); err != nil {
					b.Fatal(err)
				}
			}
			var stats Stats
			out, in := NewOutbox(partitions, &stats), NewInbox(partitions, &stats)
			for p := range held {
				from.Partition(p).SetState(bucket.Open, 1)
				from.Partition(p).SetHistory(bucket.Name{Epoch: 1, Start: 1})
				for k := range keys {
					spend(p, k)
				}
				ready, err := to.Partition(p).Prepare(now, from.Partition(p).Whole(now, false))
				if err != nil {
					b.Fatal(err)
				}
				to.Partition(p).Replace(ready)
			}
			var sent [held]*bucket.Lines
			var packet []byte
			var ready bucket.Prepared
			turn := 0
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += held {
				b.StopTimer()
				now += 50_000
				for p := range held {
					for k := range changed {
						spend(p, (k*3+turn)%keys)
					}
				}
				turn++
				b.StartTimer()
				for p := range held {
					sent[p] = from.Partition(p).ChangesIn(sent[p], now, false)
					out.Put(&hold.Backup{Part: hold.Part(p), Hold: hold.Hold{Epoch: 1, Start: 1, Name: "n1"}, Seq: sent[p].Seq, Round: uint64(n)}, sent[p])
				}
				for {
					if packet = out.Next(peer.MailBulk, packet[:0]); len(packet) == 0 {
						break
					}
					if err := in.Deliver(n1, packet); err != nil {
						b.Fatal(err)
					}
					for items := in.Take(); items != nil; items = in.Take() {
						for i := range items {
							p := to.Partition(items[i].Message.Of())
							if err := p.PrepareIn(&ready, now, items[i].Lines); err != nil {
								b.Fatal(err)
							}
							p.Apply(&ready)
							in.Done(items[i].Lines)
						}
					}
				}
			}
		})
	}
}
