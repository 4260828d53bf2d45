package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Spec says what to start.
type Spec struct {
	Name string // for messages and the log's file name; names of a group need not differ
	Path string
	Args []string
	Env  []string // beside the harness's own
	Dir  string   // "" is the group's
}

// A Process is a child that was started. Its methods may be called from any goroutine.
type Process struct {
	Name string
	Log  string // the file that has its standard output and error

	cmd  *exec.Cmd
	told sync.Once     // to end
	done chan struct{} // closed when it has ended and was waited for
	err  error         // how it ended; read after done
}

// Start starts a process that the group owns from then on.
func (g *Group) Start(s Spec) (*Process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("start %s: the group is closed", s.Name)
	}
	log, err := g.logFile(s.Name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir = s.Dir
	if cmd.Dir == "" {
		cmd.Dir = g.Dir
	}
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttr()
	p := &Process{Name: s.Name, Log: log.Name(), cmd: cmd, done: make(chan struct{})}

	started := make(chan error)
	go func() {
		// A child with a parent-death signal gets it when the *thread* that started it ends. So that thread is kept
		// here until the child is gone, and ends with this goroutine: it is never unlocked.
		runtime.LockOSThread()
		err := cmd.Start()
		log.Close()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	g.procs = append(g.procs, p)
	return p, nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err says how the process ended: nil for exit 0, else an *exec.ExitError. Before the end it is nil.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return p.err
}

// Stop sends SIGTERM, waits up to timeout, and kills what is left then. It returns an error where the process had to
// be killed or ended with a status other than 0; a process that has ended before is no error, however it ended.
func (p *Process) Stop(timeout time.Duration) error {
	if !p.Running() {
		return nil
	}
	p.terminate()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.Kill()
		return fmt.Errorf("stop %s: still there %v after SIGTERM, killed; its log ends\n%s", p.Name, timeout, p.Tail(10))
	}
	if bySignal(p.err, syscall.SIGTERM) {
		return nil // a program that handles no signal has ended as it was told
	}
	if p.err != nil {
		return fmt.Errorf("stop %s: %w; its log ends\n%s", p.Name, p.err, p.Tail(10))
	}
	return nil
}

// terminate tells the process to end, once, for many take a second SIGTERM as haste, and lets it run if it is paused, for it could not hear
// otherwise.
func (p *Process) terminate() {
	p.told.Do(func() { p.signal(syscall.SIGTERM) })
	p.signal(syscall.SIGCONT)
}

// Kill sends SIGKILL and waits.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// Pause stops the process (SIGSTOP) until Resume.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused process run on.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// signal cannot hit a stranger whose process has the same id by now: os.Process knows when it was waited for.
func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", s, p.Name, err)
	}
	return nil
}

func bySignal(err error, s syscall.Signal) bool {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return false
	}
	w, ok := e.Sys().(syscall.WaitStatus)
	return ok && w.Signaled() && w.Signal() == s
}

// Tail returns the last n lines of the log, each with the process's name before it.
func (p *Process) Tail(n int) string {
	f, err := os.Open(p.Log)
	if err != nil {
		return "  " + p.Name + ": no log\n"
	}
	defer f.Close()
	// The end of the log is enough: a node that fails under load may have written much.
	const most = 64 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size > most {
		f.Seek(-most, io.SeekEnd)
	} else {
		f.Seek(0, io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	var out strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&out, "  %s: %s\n", p.Name, l)
	}
	return out.String()
}
