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

// showWord prints the tables of an earlier run, and draws its plots.
func showWord(_ context.Context, args []string) error {
	f := flag.NewFlagSet("show", flag.ContinueOnError)
	plots := f.String("plots", "", "draw plots into this `directory`")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return fmt.Errorf("show which file? bench show [--plots DIR] FILE.json; %w", errUsage)
	}
	rep, err := report.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	if err := rep.Print(os.Stdout); err != nil {
		return err
	}
	return draw(rep, *plots)
}

// draw draws the plots of a report, if a directory was named.
func draw(rep *report.Report, dir string) error {
	if dir == "" {
		return nil
	}
	names, err := rep.WritePlots(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d plots in %s\n", len(names), dir)
	return nil
}
