package fault

import (
	"slices"
	"time"

	"github.com/stint-limiter/stint/bench/load"
)

// Said is what became of a check.
type Said uint8

const (
	// Failed: no answer, or nobody could decide.
	Failed Said = iota
	Denied
	Admitted
)

// A Record is one check. Times are the load's; see Load.Now.
type Record struct {
	Start, End time.Duration
	Key        uint32 // its place among the keys
	Hits       uint32
	Node       uint8 // who was asked: its place among the targets
	Said       Said
	Via        uint8 // an index into load.Vias
}

// A Failure is a check that has failed, in words.
type Failure struct {
	Record
	What string
}

func said(d decision, err error) (Said, uint8) {
	other := len(load.Vias) - 1
	if err != nil {
		return Failed, uint8(other)
	}
	via := slices.Index(load.Vias[:], d.Via)
	switch {
	case d.Via == "unavailable" || d.Via == "full":
		return Failed, uint8(via)
	case via < 0:
		via = other
	}
	if d.Allowed {
		return Admitted, uint8(via)
	}
	return Denied, uint8(via)
}

// Records returns a view of all that was recorded. The load is paused or closed.
func (l *Load) Records() *Records {
	r := &Records{keys: l.keys, lapses: l.lapses}
	for _, c := range l.callers {
		r.all = append(r.all, c.records...)
		r.failures = append(r.failures, c.failure...)
	}
	return r
}

// Records are the checks of a load.
type Records struct {
	keys     []*Key
	lapses   []lapse
	all      []Record
	failures []Failure
}

// excused reports whether a check was at a node that could not answer: if it has failed, or was slow, that is why.
func (r *Records) excused(c Record) bool {
	for _, l := range r.lapses {
		if l.to == c.Node && c.Start < l.till && l.from < c.End {
			return true
		}
	}
	return false
}

// InFlight counts the checks that had been sent and not been answered at some moment between two: a signal takes a moment to arrive.
func (r *Records) InFlight(from, till time.Duration) (n uint64) {
	for _, c := range r.all {
		if c.Start <= till && from < c.End {
			n++
		}
	}
	return n
}

// AdmittedOn counts the hits on some keys that were admitted in answers that came between two moments, or not yet.
func (r *Records) AdmittedOn(keys map[int]bool, from, till time.Duration) (n uint64) {
	for _, c := range r.all {
		if c.Said == Admitted && keys[int(c.Key)] && from <= c.End && c.Start <= till {
			n += uint64(c.Hits)
		}
	}
	return n
}

// OverAt returns how many hits beyond their COUNT keys had been admitted by a moment.
func (r *Records) OverAt(keys []*Key, at time.Duration) (over uint64) {
	admitted := make([]uint64, len(r.keys))
	for _, c := range r.all {
		if c.Said == Admitted && c.End <= at {
			admitted[c.Key] += uint64(c.Hits)
		}
	}
	for _, k := range keys {
		over += max(admitted[k.At], uint64(k.Count)) - uint64(k.Count)
	}
	return over
}
