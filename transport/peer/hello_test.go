package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Who says hello a thousand times with other constants fills no disk.
func TestForeignersAreLoggedOnceAMinute(t *testing.T) {
	var log bytes.Buffer
	s, err := NewServer(ServerConfig{Self: n1, Decider: newCounters(), Hello: hello, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	for i := range 1000 {
		s.foreigner(Member{"m", 1}, errors.New("differs"), now.Add(time.Duration(i)*time.Millisecond))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines about 1000 hellos in a second, want 1:\n%.300s", n, log.String())
	}
	s.foreigner(Member{"m", 1}, errors.New("differs"), now.Add(sayAgain))
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "hellos_since_last_said=1000") {
		t.Errorf("a minute later: %s", log.String())
	}
}
