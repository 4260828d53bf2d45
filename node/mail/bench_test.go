package mail

import (
	"testing"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// perMessage reports the time of one of n messages that an operation is about.
func perMessage(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
}

func answers() []hold.Message {
	var all []hold.Message
	for p := range partitions {
		h := hold.Hold{Epoch: 300, Start: 1763780000123456789, Name: "node-1"}
		all = append(all, &hold.Answer{Part: hold.Part(p), Round: uint64(p), Verdict: hold.PROMISE, Hold: h, Floor: 300,
			Copy: hold.Version{Epoch: 300, Start: h.Start, Seq: 12345}, Keeper: "node-2"})
	}
	return all
}

func BenchmarkOut(b *testing.B) {
	for name, all := range map[string][]hold.Message{"holds": allHolds(), "answers": answers()} {
		b.Run(name, func(b *testing.B) {
			o := NewOutbox(partitions, new(Stats))
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range all {
					o.Put(m, nil)
				}
				buf = o.Next(peer.MailUrgent, buf[:0])
			}
			b.ReportMetric(float64(len(buf)), "B/packet")
			perMessage(b, len(all))
		})
	}
}

func BenchmarkIn(b *testing.B) {
	for name, all := range map[string][]hold.Message{"holds": allHolds(), "answers": answers()} {
		b.Run(name, func(b *testing.B) {
			in := NewInbox(partitions, new(Stats))
			packet := packetOf(all...)
			b.ReportAllocs()
			for b.Loop() {
				if err := in.Deliver(n1, packet); err != nil {
					b.Fatal(err)
				}
				for in.Take() != nil {
				}
			}
			perMessage(b, len(all))
		})
	}
}

func BenchmarkLines(b *testing.B) {
	const lines = 10_000
	o, in := NewOutbox(partitions, new(Stats)), NewInbox(partitions, new(Stats))
	m := &hold.Backup{Lines: linesOfN(lines)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		o.Put(m, nil)
		buf = o.Next(peer.MailBulk, buf[:0])
		if err := in.Deliver(n1, buf); err != nil {
			b.Fatal(err)
		}
		in.Take()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
}
