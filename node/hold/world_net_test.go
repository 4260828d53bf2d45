package hold_test

import (
	"reflect"
	"strings"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// The network of a world: every message goes alone, and takes its own time.
type network struct {
	w           *world
	cut         map[link]bool
	least, most time.Duration // on the way
	spike       float64       // so many messages are late by up to late more
	late        time.Duration
	dup, loss   float64 // so many arrive twice, or not at all
	keep        float64 // so many of those that meet a cut link arrive when it is whole again
	kept        []func()
	slow        map[link]time.Duration
	dropped     map[link]map[string]bool // kinds of messages
}

type link struct{ from, to string }

func (t *network) up(from, to string) bool { return !t.cut[link{from, to}] }

// send brings a message to the run of a member that the sender has a pipe to. gone is called when the sender is told that this
// run is not there.
func (t *network) send(from *node, to string, start uint64, deliver func(d *node), gone func()) {
	w := t.w
	if to == from.name || start == 0 {
		return
	}
	d := w.nodes[to]
	if !t.up(from.name, to) {
		if w.chance(t.keep) {
			t.kept = append(t.kept, func() { t.travel(from, d, start, deliver, gone) })
		}
		return
	}
	if w.chance(t.loss) {
		return
	}
	t.travel(from, d, start, deliver, gone)
}

func (t *network) travel(from, d *node, start uint64, deliver func(d *node), gone func()) {
	w := t.w
	if d == nil || !d.alive || d.start != start {
		if back := d != nil && d.alive; (back && w.told || !back && w.rst) && d != nil && t.up(d.name, from.name) {
			w.after(w.between(2*t.least, 2*t.most), func() { from.do("", gone) })
		}
		return
	}
	conn := d.conn[from.name]
	copies := 1
	if w.chance(t.dup) {
		copies = 2
	}
	for range copies {
		delay := w.between(t.least, t.most) + t.slow[link{from.name, d.name}]
		if w.chance(t.spike) {
			delay += w.between(0, t.late)
		}
		w.after(delay, func() {
			if d.alive && t.up(from.name, d.name) {
				d.doConn(from.name, conn, func() { deliver(d) })
			}
		})
	}
}

// heal makes every link whole.
func (t *network) heal() {
	clear(t.cut)
	kept := t.kept
	t.kept = nil
	for _, send := range kept {
		send()
	}
}

// reach are those that somebody can exchange messages with, perhaps through others.
func (w *world) reach(from string) map[string]bool {
	seen := map[string]bool{from: true}
	for todo := []string{from}; len(todo) > 0; {
		a := todo[0]
		todo = todo[1:]
		for _, n := range w.alive() {
			if b := n.name; !seen[b] && !n.paused && w.net.up(a, b) && w.net.up(b, a) {
				seen[b] = true
				todo = append(todo, b)
			}
		}
	}
	return seen
}

// post puts a machine's message on its way, with the lines that go with it.
func (n *node) post(to string, m hold.Message) {
	w := n.w
	kind := reflect.TypeOf(m).Elem().Name()
	w.mail[kind]++
	if b, ok := m.(*hold.Backup); ok && w.chance(w.full/4) {
		w.after(0, func() { n.do("", func() { n.step(hold.BackupStuck{Partition: b.Of(), To: to}) }) })
		return
	}
	m = n.withLines(m)
	if w.net.dropped[link{n.name, to}][strings.ToLower(kind)] {
		return
	}
	start := n.pipes[to]
	w.net.send(n, to, start, func(d *node) {
		d.meetStart(n.name, n.start)
		// What was delivered, and is known to be, shows that the member answers again.
		w.net.send(d, n.name, n.start, func(*node) { n.answers(run{to, start}) }, func() {})
		d.step(hold.Received{From: n.name, Start: n.start, Message: m, Fits: !w.chance(w.full)})
	}, func() { n.step(hold.Unreachable{Name: to, Start: start}) })
}

// withLines puts in the lines as they are now, where a message wants some and has none yet, and returns a copy of it, so
// that sender and receiver share nothing.
func (n *node) withLines(m hold.Message) hold.Message {
	l := n.parts[m.Of()].lines
	switch m := m.(type) {
	case *hold.Backup:
		n.parts[m.Of()].sent[l.seq] = l.totals()
		if m.Lines == nil && m.Whole() {
			m.Lines, m.Seq = l.whole(), l.seq
		} else if m.Lines == nil {
			m.Lines, m.Seq = l.changes(), l.seq
		}
	case *hold.Flip:
		if m.Lines == nil {
			m.Lines, m.Seq = l.changes(), l.seq
		}
	case *hold.Return:
		if m.Lines == nil {
			m.Lines = l.copy()
		}
	}
	c := reflect.New(reflect.TypeOf(m).Elem())
	c.Elem().Set(reflect.ValueOf(m).Elem())
	return c.Interface().(hold.Message)
}
