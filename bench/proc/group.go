package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// StopTimeout is how long a process has after SIGTERM before it is killed: `stint serve` takes 10 s to leave at most.
const StopTimeout = 12 * time.Second

// A Group owns processes and a directory for their logs. Its methods may be called from any goroutine.
type Group struct {
	// Dir is where logs and built binaries are. Close takes it away unless Keep is set.
	Dir string
	// Keep leaves Dir where it is, for reading the logs of a failure.
	Keep bool

	mu sync.Mutex
	// protects following fields
	closed bool
	procs  []*Process // in the order they were started
}

// NewGroup returns an empty group with a directory of its own below the system's temporary one.
func NewGroup() (*Group, error) {
	dir, err := os.MkdirTemp("", "stint-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for logs: %w", err)
	}
	return &Group{Dir: dir}, nil
}

// Close ends every process that still runs, the last one started first, each by its pid, and removes Dir. It may be
// called twice.
func (g *Group) Close() error {
	g.mu.Lock()
	g.closed = true
	procs := g.procs
	g.procs = nil
	g.mu.Unlock()

	// All are told at once and waited for after: three nodes that leave take as long as one.
	for i := len(procs) - 1; i >= 0; i-- {
		procs[i].terminate()
	}
	var first error
	for i := len(procs) - 1; i >= 0; i-- {
		if err := procs[i].Stop(StopTimeout); err != nil && first == nil {
			first = err
		}
	}
	if g.Keep {
		return first
	}
	if err := os.RemoveAll(g.Dir); err != nil && first == nil {
		first = fmt.Errorf("remove the logs: %w", err)
	}
	return first
}

// logFile makes the log of the n-th process called name.
func (g *Group) logFile(name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(g.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	return f, nil
}
