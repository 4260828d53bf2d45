package report

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// A Progress says what is running and how long it will still take. On a terminal it is one line that is written
// over; elsewhere, a line per step. Its methods may be called from any goroutine.
type Progress struct {
	w        io.Writer
	terminal bool

	mu sync.Mutex
	// protects following fields
	planned time.Duration // of all steps
	done    time.Duration // planned time of the steps that have ended
	label   string
	step    time.Duration // planned time of the present step
	began   time.Time     // of the present step

	stop chan struct{}
	wg   sync.WaitGroup
}

// NewProgress returns a progress over work planned to take so long, shown on f.
func NewProgress(f *os.File, planned time.Duration) *Progress {
	p := newProgress(f, term.IsTerminal(int(f.Fd())), planned)
	if p.terminal {
		p.wg.Go(p.draw)
	}
	return p
}

func newProgress(w io.Writer, terminal bool, planned time.Duration) *Progress {
	now := time.Now()
	return &Progress{w: w, terminal: terminal, began: now, planned: planned, stop: make(chan struct{})}
}

// Step begins the next step, planned to take d.
func (p *Progress) Step(d time.Duration, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += p.step
	p.label, p.step, p.began = fmt.Sprintf(format, args...), d, time.Now()
	p.print()
}

// Say says what is happening in the present step.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label = fmt.Sprintf(format, args...)
	p.print()
}

// Close ends the progress and leaves the line empty.
func (p *Progress) Close() {
	close(p.stop)
	p.wg.Wait()
	if p.terminal {
		io.WriteString(p.w, "\r\x1b[K")
	}
}

func (p *Progress) draw() {
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.mu.Lock()
			p.print()
			p.mu.Unlock()
		}
	}
}

// print is called with mu held.
func (p *Progress) print() {
	left := p.planned - p.done - min(time.Since(p.began), p.step)
	line := fmt.Sprintf("%s (%s left)", p.label, clock(left))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// clock writes 1:05.
func clock(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
