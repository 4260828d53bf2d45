package main

import (
	"fmt"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/snapshot"
	"github.com/stint-limiter/stint/transport"
)

// The settings for when something fails: --patience, --on-split and --data.

// Below half of it a scheduler's ordinary stalls look like faults; above a hundred times it a failover takes half a minute.
const minPatience, maxPatience = 0.5, 100

// settleFaults checks them, and makes the directory for snapshots.
func (f *serveFlags) settleFaults() error {
	if !(f.patience >= minPatience && f.patience <= maxPatience) { // so that NaN is neither
		return fmt.Errorf("--patience %v: want %v to %v", f.patience, minPatience, maxPatience)
	}
	if err := f.timers().Check(); err != nil {
		return fmt.Errorf("--patience %v: %w", f.patience, err)
	}
	if _, err := transport.ParseOnSplit(f.onSplit); err != nil {
		return fmt.Errorf("--on-split: %w", err)
	}
	if f.data != "" {
		if err := snapshot.Dir(f.data); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
	}
	return nil
}

func (f *serveFlags) timers() hold.Timers { return hold.Patience(f.patience) }

// split is --on-split, which settleFaults has checked.
func (f *serveFlags) split() transport.OnSplit {
	o, _ := transport.ParseOnSplit(f.onSplit)
	return o
}
