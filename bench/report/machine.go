package report

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Machine says where figures come from. Without it they say nothing.
type Machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
	OS     string `json:"os"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
	// Load is the load average of the minute before the run: above a tenth of a core, others were at work too.
	Load string `json:"load_before"`
}

// ThisMachine looks at the machine and at the checkout.
func ThisMachine(ctx context.Context) Machine {
	m := Machine{
		Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: firstLine("/proc/sys/kernel/osrelease"), CPU: cpuModel(), Commit: commit(ctx),
	}
	m.Load, _, _ = strings.Cut(firstLine("/proc/loadavg"), " ")
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("%d cores %s, %s, kernel %s, %s, commit %s, load before %s",
		m.Cores, orUnknown(m.CPU), m.OS, orUnknown(m.Kernel), m.Go, orUnknown(m.Commit), orUnknown(m.Load))
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func firstLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// commit asks git, for `go run` stamps nothing into what it builds. A + means that files differ from the commit.
func commit(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	id, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	s := strings.TrimSpace(string(id))
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changed) > 0 {
		s += "+"
	}
	return s
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
