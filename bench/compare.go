package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/stint-limiter/stint/bench/report"
)

// compareWord prints what has changed between the figures of two runs.
func compareWord(_ context.Context, args []string) error {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	if err := parse(f, args, 2); err != nil {
		return err
	}
	if f.NArg() != 2 {
		return fmt.Errorf("compare which two files? bench compare OLD.json NEW.json; %w", errUsage)
	}
	old, err := report.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	now, err := report.ReadFile(f.Arg(1))
	if err != nil {
		return err
	}
	return report.PrintCompare(os.Stdout, old, now)
}
