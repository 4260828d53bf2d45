package proc

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func group(t *testing.T) *Group {
	t.Helper()
	g, err := NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func child(t *testing.T, g *Group, does string) *Process {
	t.Helper()
	p, err := g.Start(Spec{Name: does, Path: os.Args[0], Args: []string{does}})
	if err != nil {
		t.Fatal(err)
	}
	if does != "fail" {
		here(t, p)
	}
	return p
}

// exists reports whether a process with this id is there and no zombie.
func exists(pid int) bool {
	return state(pid) != "" && state(pid) != "Z"
}

// state is the letter in /proc/PID/stat: R, S, T, Z; "" where there is none.
func state(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("looks at /proc")
	}
}

func TestStop(t *testing.T) {
	g := group(t)
	for _, does := range []string{"sit", "clean"} {
		p := child(t, g, does)
		if err := p.Stop(10 * time.Second); err != nil || p.Running() {
			t.Errorf("%s: %v, running %v", does, err, p.Running())
		}
		if err := p.Stop(time.Second); err != nil {
			t.Errorf("%s, stopped twice: %v", does, err)
		}
	}
	deaf := child(t, g, "deaf")
	if err := deaf.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "killed") || deaf.Running() {
		t.Errorf("one that does not hear SIGTERM: %v, running %v", err, deaf.Running())
	}
}

func TestAPausedProcessCanBeStopped(t *testing.T) {
	onLinux(t)
	p := child(t, group(t), "clean")
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); state(p.PID()) != "T"; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("paused, it is in state %q", state(p.PID()))
		}
	}
	if err := p.Stop(10 * time.Second); err != nil {
		t.Error(err)
	}
}

func TestFailureIsToldWithTheLog(t *testing.T) {
	p := child(t, group(t), "fail")
	<-p.Done()
	if p.Err() == nil || p.Err().Error() != "exit status 3" {
		t.Errorf("got %v", p.Err())
	}
	if got := p.Tail(1); got != "  fail: cannot go on\n" {
		t.Errorf("the log's last line is %q", got)
	}
	if err := p.Listening(t.Context(), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "cannot go on") {
		t.Errorf("waiting for it says %v", err)
	}
}

func TestCloseEndsAll(t *testing.T) {
	onLinux(t)
	g := group(t)
	var pids []int
	for range 3 {
		pids = append(pids, child(t, g, "sit").PID())
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if exists(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if _, err := os.Stat(g.Dir); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
	if _, err := g.Start(Spec{Name: "late", Path: os.Args[0], Args: []string{"sit"}}); err == nil {
		t.Error("a closed group has started a process")
	}
}

func TestChildrenDieWithAHarnessThatIsKilled(t *testing.T) {
	onLinux(t)
	parent := exec.Command(os.Args[0], "parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	defer os.RemoveAll(lines.Text())
	lines.Scan()
	pid, err := strconv.Atoi(lines.Text())
	if err != nil || !exists(pid) {
		t.Fatalf("child %q: %v", lines.Text(), err)
	}
	parent.Process.Signal(syscall.SIGKILL)
	parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); exists(pid); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("child %d is still there", pid)
		}
	}
}

func TestCPU(t *testing.T) {
	onLinux(t)
	g := group(t)
	idle, busy := child(t, g, "sit"), child(t, g, "burn")
	i, err := idle.CPU()
	if err != nil {
		t.Fatal(err)
	}
	b, err := busy.CPU()
	if err != nil {
		t.Fatal(err)
	}
	// It has spun for 200 ms of which a loaded machine may give it a part; both need some to start.
	if b <= i || b < 20*time.Millisecond {
		t.Errorf("busy %v, idle %v", b, i)
	}
	idle.Kill()
	if _, err := idle.CPU(); err == nil {
		t.Error("the processor time of a process that has ended")
	}
}

func TestParseStat(t *testing.T) {
	onLinux(t)
	const rest = " S 1 1 1 0 -1 4194304 100 0 0 0 250 50 7 7 20 0 5 0 1000 1 1"
	for _, name := range []string{"(stint)", "(a b) (c)", "())"} {
		if d, err := parseStat([]byte("12 " + name + rest)); err != nil || d != 3*time.Second {
			t.Errorf("%s: %v, %v, want 3s", name, d, err)
		}
	}
	for _, bad := range []string{"", "12 (x", "12 (x) S 1 2", "12 (x) S 1 1 1 0 -1 4194304 100 0 0 0 a 50 7", "12 (x) S 1 1 1 0 -1 4194304 100 0 0 0 -1 50 7"} {
		if d, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read as %v", bad, d)
		}
	}
}

func TestRSS(t *testing.T) {
	onLinux(t)
	g := group(t)
	p := child(t, g, "sit")
	if n, err := p.RSS(); err != nil || n < 1<<20 || n > 1<<30 {
		t.Errorf("a Go program that does nothing has %d bytes, %v", n, err)
	}
	p.Kill()
	if _, err := p.RSS(); err == nil {
		t.Error("the memory of a process that has ended")
	}
	if n, err := parseStatus([]byte("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n")); err != nil || n != 1234<<10 {
		t.Errorf("got %d, %v", n, err)
	}
	for _, bad := range []string{"", "Name:\tx\n", "VmRSS:\n", "VmRSS: 12 MB\n", "VmRSS: -1 kB\n", "VmRSS: 99999999999999999999 kB\n"} {
		if n, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("%q was read as %d", bad, n)
		}
	}
}

func TestFreePorts(t *testing.T) {
	p, err := FreePorts(5)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range p {
		for _, b := range p[:i] {
			if a-b < family && b-a < family {
				t.Errorf("families of %d and %d overlap", a, b)
			}
		}
	}
	if _, err := FreePorts(100_000); err == nil {
		t.Error("more families than there are ports")
	}
}
