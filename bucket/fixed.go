package bucket

import "time"

// A fixed window is counted from its first hit to its aligned end. Windows align to the Unix epoch in UTC, one of seven days to
// Monday, and a month to the calendar. The line says when its window ends, and it never ends before that, whatever
// the clock that looks at it says: skew between two holders' clocks shifts a window, and never grants one.
//
// An end that came from another clock need not be aligned to ours. If it reaches past the middle of our window, the next
// one runs on to the boundary after; else three windows' worth could pass in little more than one. For that the line
// must be remembered until our boundary, so its fresh instant is the aligned one, and the end is in the marks.
//
// Marks: hits; end; start; end of the window before, 0 where none is known. The last does not travel.

func (l *line) fixedEnd() Instant { return Instant(l.marks[1]) }

func (l *line) fixedUsed(now Instant) uint64 {
	if now >= l.fixedEnd() {
		return 0
	}
	return l.marks[0]
}

func (l *line) fixedSpend(now Instant, hits uint64) {
	if now < l.fixedEnd() {
		l.marks[0] = addSat(l.marks[0], hits)
		if first := Instant(l.marks[2]); now < first {
			// A batch is decided at the instant at which it began, and another check was first meanwhile. Its receipt names
			// that instant; were the line's start after it, the hit could not be given back.
			// Not before the window before it ended, though: hits that were spent there, or lent, would be given back here.
			start, _ := l.id.Window().around(first)
			l.marks[2] = max(uint64(max(now, start)), l.marks[3])
		}
		return
	}
	end := l.fixedNext(now)
	l.marks[0], l.marks[1], l.marks[2], l.marks[3] = hits, uint64(end), uint64(now), l.marks[1]
	l.setFresh(end)
}

// fixedNext returns the end of the window that a hit at now begins, now that the line's own is over.
func (l *line) fixedNext(now Instant) Instant {
	w := l.id.Window()
	start, end := w.around(now)
	if old := l.fixedEnd(); now < l.fresh() && old > start+(end-start)/2 {
		_, end = w.around(end)
	}
	return end
}

func (l *line) fixedGive(now, at Instant, hits uint64) bool {
	if now >= l.fixedEnd() {
		return true // remembered for its end only
	}
	if at < 0 || at >= Instant(l.marks[2]) {
		l.marks[0] = subSat(l.marks[0], hits)
	}
	return true // with nothing spent the line still says when its window ends
}

const (
	day  Window = 24 * 60 * 60 * 1000
	week        = 7 * day
	// The Unix epoch was a Thursday; the first Monday was four days later.
	firstMonday = 4 * 24 * time.Hour
)

// around returns the aligned window that t is in, from its start to before its end.
func (w Window) around(t Instant) (start, end Instant) {
	if w == Month {
		y, m, _ := time.UnixMicro(int64(t)).UTC().Date()
		first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
		return Instant(first.UnixMicro()), Instant(first.AddDate(0, 1, 0).UnixMicro())
	}
	var shift Instant
	if w == week {
		shift = Instant(firstMonday / time.Microsecond)
	}
	span := w.micros()
	since := (t - shift) % span
	if since < 0 {
		since += span
	}
	return t - since, t - since + span
}
