package bucket

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
)

// A pair is a holder and who keeps its copy, with another clock.
type pair struct {
	t            testing.TB
	r            *rand.Rand
	holder, copy *Partition
	now, shift   Instant
	asked        Instant  // when changes were last asked for
	lost         []*Lines // sent, and not acknowledged
	sent         []*Lines // all that was sent since the last whole copy
	receipts     []takenBy
	log          []string
}

type takenBy struct {
	w Want
	n uint32
	r Receipt
}

func newPair(t testing.TB, seed uint64) *pair {
	r := rand.New(rand.NewPCG(seed, 11))
	p := &pair{t: t, r: r, holder: open(1000), copy: open(1000), now: noon, shift: Instant(r.Int64N(int64(5 * minute)))}
	p.shift -= p.shift % minute // fixed windows end together, so that what is compared is the copy and not the clocks
	p.holder.SetHistory(Name{Epoch: 1, Start: seed})
	return p
}

func (p *pair) note(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf("%v ", (p.now-noon).Sub(0))+fmt.Sprintf(format, args...))
}

func (p *pair) fail(format string, args ...any) {
	p.t.Helper()
	for _, l := range p.log {
		p.t.Log(l)
	}
	p.t.Fatalf(format, args...)
}

// A want of one of a few keys, under limits whose windows are all copied.
func (p *pair) want() Want {
	w := lawWants[p.r.IntN(len(lawWants))]
	if w.ID.short() {
		w = lawWants[0]
	}
	return want(w.Limit, strconv.Itoa(p.r.IntN(4)))
}

func (p *pair) step() {
	if p.r.IntN(3) == 0 {
		p.now += Instant(p.r.Int64N(int64(3 * second)))
	}
	var out Outcome
	switch p.r.IntN(10) {
	case 0:
		p.now += Instant(p.r.Int64N(int64(40 * second)))
	case 1:
		if p.now < p.asked+tellWithin { // else what counts no more may have gone untold
			p.holder.t.Expire(p.now, 1)
		}
		p.copy.t.Expire(p.now+p.shift, 1)
		p.note("expire")
	case 2, 3:
		if n := len(p.receipts); n > 0 {
			x := p.receipts[n-1]
			p.receipts = p.receipts[:n-1]
			p.holder.Give(p.now, []Want{x.w}, x.n, x.r, &out)
			p.note("give %d of %v", x.n, x.w.Limit)
		}
	default:
		w := p.want()
		n := 1 + p.r.Uint32N(w.Limit.Count/3)
		p.holder.Take(p.now, []Want{w}, n, &out)
		p.note("take %d of %v: %v", n, w.Limit, out.Allowed)
		if out.Allowed {
			p.receipts = append(p.receipts, takenBy{w, n, out.Receipt})
		}
	}
}

func (p *pair) deliver(ls *Lines) {
	pr := prepare(p.t, p.copy, p.now+p.shift, ls)
	p.copy.Apply(pr)
}

// whole begins a new round.
func (p *pair) whole() {
	p.lost, p.sent, p.asked = nil, nil, p.now
	p.copy.Replace(prepare(p.t, p.copy, p.now+p.shift, p.holder.Whole(p.now, false)))
	p.note("whole")
}

// changes sends what changed, and loses it at times.
func (p *pair) changes() {
	for _, l := range p.lost {
		p.holder.Unacknowledged(l)
	}
	p.lost = nil
	ls := p.holder.Changes(p.now, false)
	p.asked = p.now
	p.sent = append(p.sent, ls)
	lose := p.r.IntN(3) == 0
	p.note("changes to %d: %d lines, whole %v, lost %v", ls.Seq, ls.Len(), ls.Whole, lose)
	if lose {
		p.lost = append(p.lost, ls)
		return
	}
	p.deliver(ls)
}

// same says whether the copy answers what the holder does, now and for as long as anything counts.
func (p *pair) same() {
	p.t.Helper()
	for _, k := range []string{"0", "1", "2", "3"} {
		for _, l := range lawWants {
			w := want(l.Limit, k)
			if w.ID.short() {
				continue
			}
			late := strictness(w.Limit.Window, w.Limit.Count)*3/128 + 3
			for at := p.now; at < p.now+2*w.ID.Window().micros(); at += w.ID.Window().micros() / 53 {
				got, want := take(p.t, p.copy, at+p.shift, 0, w).Current, take(p.t, p.holder, at, 0, w).Current
				before := take(p.t, p.holder, max(at-late, p.now), 0, w).Current
				if w.Limit.Algorithm == TokenBucket {
					before++ // a part of a token, rounded up
				}
				if got < want || got > before {
					p.fail("%v of %s: %v later the copy has %d, the holder %d, and a little before %d", w.Limit, k, at-p.now, got, want, before)
				}
			}
		}
	}
	p.holder.t.Expire(p.now+10*second, 1)
	p.copy.t.Expire(p.now+p.shift+10*second, 1)
	if a, b := ids(p.copy), ids(p.holder); !maps.Equal(a, b) {
		p.fail("the copy has lines %v, the holder %v", a, b)
	}
}

// A whole copy answers as the original does, never more generously.
func TestAWholeCopyIsTheSame(t *testing.T) {
	for seed := range uint64(histories(300)) {
		p := newPair(t, seed)
		for range 30 {
			p.step()
			if p.r.IntN(10) == 0 {
				p.holder.SetHistory(Name{Epoch: uint64(p.now)})
				p.note("claim")
			}
		}
		p.whole()
		p.same()
	}
}

// A whole copy and all changes since, some of them lost at first, are what the holder has.
func TestChangesKeepACopyTheSame(t *testing.T) {
	for seed := range uint64(histories(300)) {
		p := newPair(t, seed)
		for range p.r.IntN(20) {
			p.step()
		}
		if p.r.IntN(3) == 0 {
			p.holder.SetHistory(Name{Epoch: 2})
			p.step()
		}
		p.whole()
		for range 5 + p.r.IntN(20) {
			for range p.r.IntN(6) {
				p.step()
			}
			if p.r.IntN(20) == 0 {
				s := newSource(seed, Name{Epoch: 9, Start: uint64(p.now)})
				s.now = p.now - 10*second
				s.spend(5)
				if s.now <= p.now {
					p.holder.Absorb(prepare(t, p.holder, p.now, s.p.Snapshot(s.now, false)))
					p.note("absorb")
				}
			}
			p.changes()
		}
		for len(p.lost) > 0 {
			p.changes()
		}
		p.same()
	}
}

func ids(p *Partition) map[ID]bool {
	m := map[ID]bool{}
	for h := range p.histories {
		for i := range h.places() {
			if l := h.at(i); !l.empty() {
				m[l.id] = true
			}
		}
	}
	return m
}

func dump(p *Partition) string {
	s := ""
	for h := range p.histories {
		s += fmt.Sprint(h.name, h.seq)
		for i := range h.places() {
			if l := *h.at(i); !l.empty() {
				l.clock &^= changedMask
				s += fmt.Sprintf("\n%x", l)
			}
		}
	}
	return s
}

// Applying twice changes nothing, also a moment later, and neither do changes that come after newer ones.
func TestLateAndDoubledChangesChangeNothing(t *testing.T) {
	for seed := range uint64(histories(300)) {
		p := newPair(t, seed)
		p.whole()
		for range 8 {
			for range p.r.IntN(6) {
				p.step()
			}
			p.changes()
		}
		for len(p.lost) > 0 {
			p.changes()
		}
		before := dump(p.copy)
		p.now += Instant(p.r.IntN(2000))
		for range 10 {
			p.deliver(p.sent[p.r.IntN(len(p.sent))])
			if after := dump(p.copy); after != before {
				p.fail("changes that came late or twice changed\n%s\nto\n%s", before, after)
			}
		}
	}
}
