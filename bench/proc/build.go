package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

var stint struct {
	sync.Mutex
	path string // the binary, once built
}

// BuildStint builds ./cmd/stint of the module around the working directory and returns the binary's path, which is
// absolute. It builds once a process; later calls return the same binary. The caller passes the directory to
// build into, which has to outlive every use: Group.Dir of the outermost group, or a test's own.
func BuildStint(ctx context.Context, dir string) (string, error) {
	stint.Lock()
	defer stint.Unlock()
	if stint.path != "" {
		if _, err := os.Stat(stint.path); err == nil {
			return stint.path, nil
		}
	}
	path, err := build(ctx, dir, "stint", "./cmd/stint")
	if err != nil {
		return "", err
	}
	stint.path = path
	return path, nil
}

// build runs go build for a package, named from the module's root.
func build(ctx context.Context, dir, name, pkg string) (string, error) {
	root, err := ModuleRoot(ctx)
	if err != nil {
		return "", err
	}
	out, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = root
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, b)
	}
	return out, nil
}

// ModuleRoot returns the directory of the go.mod around the working directory.
func ModuleRoot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(b))
	if err != nil || mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("find the module: run this inside a checkout of stint (go env GOMOD says %q)", mod)
	}
	return filepath.Dir(mod), nil
}
