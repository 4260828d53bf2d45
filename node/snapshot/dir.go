package snapshot

import (
	"fmt"
	"os"
)

// Dir makes the directory for snapshots if it is not there, for its owner only, and tries whether files can be written in it.
func Dir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory for snapshots: %w", err)
	}
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return fmt.Errorf("cannot write snapshots in %s: %w; give the user that runs this node the right to, or name another directory", dir, err)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("cannot replace snapshots in %s: %w", dir, err)
	}
	return nil
}
