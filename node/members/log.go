package members

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A note is something to log that came up where logging is out of place: under memberlist's lock, where a log that
// blocks (a full pipe) would stop failure detection. The same again, by key, is said once a minute; without a key, always.
type note struct {
	level slog.Level
	text  string
	key   string
	args  []any
}

const (
	maxNotes   = 64          // waiting to be said; more are dropped
	maxSayings = 256         // remembered as said
	maxLine    = 300         // of memberlist's lines, in bytes: some print whole metadata
	repeat     = time.Minute // until the same is said again
	// refusedMark begins our own refusals in memberlist's log lines, so that they are not said twice.
	refusedMark = "kept out "
)

// notes is the queue of them. Its lock is taken under memberlist's; nothing is called while it is held.
type notes struct {
	mu   sync.Mutex
	list []note
	kick chan struct{}
}

func (q *notes) add(n note) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) < maxNotes {
		q.list = append(q.list, n)
		poke(q.kick)
	}
}

// sayings remembers what was said when.
type sayings map[string]time.Time

func (s sayings) again(key string, now time.Time) bool {
	if last, ok := s[key]; ok && now.Sub(last) < repeat {
		return true
	}
	if len(s) >= maxSayings {
		clear(s)
	}
	s[key] = now
	return false
}

// noteLoop says the notes; on a goroutine of its own, so that a log that blocks holds up nothing else.
func (m *Members) noteLoop() {
	said := sayings{}
	for {
		select {
		case <-m.notes.kick:
		case <-m.ctx.Done():
			return
		}
		m.notes.mu.Lock()
		list := m.notes.list
		m.notes.list = nil
		m.notes.mu.Unlock()
		for _, n := range list {
			if n.key == "" || !said.again(n.text+n.key, time.Now()) {
				m.log.Log(context.Background(), n.level, n.text, n.args...)
			}
		}
	}
}

// libraryLog takes memberlist's log lines, "[LEVEL] memberlist: text". Its errors, which can come with every packet,
// are warnings for us, each kind once a minute; all else is debug: its warnings are mostly about things that go well, like
// a quick restart.
type libraryLog struct {
	*Members
	debug bool
}

func (m *Members) newLibraryLog() *log.Logger {
	return log.New(libraryLog{m, m.log.Enabled(context.Background(), slog.LevelDebug)}, "", 0)
}

func (w libraryLog) Write(b []byte) (int, error) {
	level, text, ok := strings.Cut(strings.TrimSpace(string(b[:min(len(b), maxLine)])), "] ")
	if !ok {
		level, text = "", level
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	switch {
	case level == "[ERR" && !strings.Contains(text, refusedMark):
		w.notes.add(note{slog.LevelWarn, "trouble with gossip", kind(text), []any{"what", text}})
	case w.debug:
		w.notes.add(note{slog.LevelDebug, "gossip", "", []any{"what", text}})
	}
	return len(b), nil
}

// kind is the part of a line that is the same whoever it is about: up to the first name, number or address.
func kind(text string) string {
	if i := strings.IndexAny(text, ":'\"(0123456789"); i >= 0 {
		text = text[:i]
	}
	return text[:min(len(text), 40)]
}
