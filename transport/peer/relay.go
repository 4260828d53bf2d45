package peer

import "github.com/stint-limiter/stint/bucket"

// relay has all entries answered by a Relayer, and leaves the answer's body in x.out. All of them are put to it at once, so that they
// wait for the holder together; relaying is rare, so their memory is made each time: about 10 bytes for each on the wire, where MaxBatch
// bounds those.
func (s *Server) relay(x *scratch, entries, mac []byte, h *header, asks int) {
	wants, states := 0, 0
	for rest := entries; len(rest) > 0; {
		rest, _ = readEntry(rest, &x.entry, &x.wants)
		wants += len(x.entry.Wants)
		if x.entry.Each {
			states += 2 * len(x.entry.Wants)
		}
	}
	all := struct {
		entries []Entry
		answers []Answer
		items   []RelayItem
		wants   []bucket.Want
		states  []bucket.State
	}{make([]Entry, h.count), make([]Answer, h.count), make([]RelayItem, h.count), make([]bucket.Want, 0, wants), make([]bucket.State, states)}
	for i := range h.count {
		e, a := &all.entries[i], &all.answers[i]
		entries, _ = readEntry(entries, e, &x.wants)
		at := len(all.wants)
		all.wants = append(all.wants, e.Wants...)
		e.Wants = all.wants[at:len(all.wants):len(all.wants)]
		if n := len(e.Wants); e.Each {
			a.Allowed.Each, a.Denied.Each = all.states[:n:n], all.states[n:2*n:2*n]
			all.states = all.states[2*n:]
		}
		all.items[i] = RelayItem{e, a}
	}
	if r, ok := s.cfg.Decider.(Relayer); ok {
		r.Relay(s.cfg.Decider.Now(), all.items)
		s.stats.Relayed.Add(uint64(asks))
	} else {
		for i := range all.answers {
			all.answers[i].Code = Unsent
		}
	}
	x.begin(s, h, statusDone, h.count)
	for i := range all.items {
		x.out = appendAnswer(x.out, &all.entries[i], &all.answers[i])
	}
	x.end(s, mac)
}
