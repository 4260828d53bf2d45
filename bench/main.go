package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/stint-limiter/stint/bench/load"
)

// A word is what can follow `go run ./bench`.
type word struct {
	name, args, about string
	run               func(ctx context.Context, args []string) error
}

// words is a function and not a variable because help, which is one of them, lists them.
func words() []word {
	return []word{
		{"run", "[flags]", "start the echo, rivals and a cluster, load them in turn, print the table", runWord},
		{"faults", "[--only NAME,…] [flags]", "kill, stop, cut off and restart nodes under load, print what it has cost", faultsWord},
		{"handoff", "[--lines N] [flags]", "fill a cluster with lines, have a node join and leave, print how long that took and froze", handoffWord},
		{"memory", "[--keys N] [flags]", "fill a node with keys, print bytes a line and how long it stood still", memoryWord},
		{"compare", "OLD.json NEW.json", "what has changed between the figures of two runs, and is it more than their spread", compareWord},
		{"show", "[--plots DIR] FILE.json", "print the tables of an earlier run again, and draw its plots", showWord},
		{"load", "--addr HOST:PORT,… [flags]", "load servers that already run", loadWord},
		{"cluster", "[N] [flags]", "start N (3) stint processes and keep them until Ctrl-C", clusterWord},
		{"demo", "[flags]", "start three nodes, show that they count together, keep them until Ctrl-C", demoWord},
		{"echo", "[--addr HOST:PORT]", "be the echo: decode a check, always say yes", echoWord},
		{"help", "", "this", helpWord},
	}
}

// errUsage is for words and flags that do not exist: exit status 2.
var errUsage = errors.New("see: go run ./bench help")

func main() {
	// The first Ctrl-C ends the work, and with it, by defer, all processes; a second one ends this process at once, and
	// the kernel ends the rest.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := dispatch(ctx, os.Args[1:])
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(130)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which word? %w", errUsage)
	}
	if args[0] == "-h" || args[0] == "--help" {
		args = []string{"help"}
	}
	for _, w := range words() {
		if w.name == args[0] {
			return w.run(ctx, args[1:])
		}
	}
	return fmt.Errorf("no word %q; %w", args[0], errUsage)
}

func helpWord(context.Context, []string) error {
	printHelp(os.Stdout)
	return nil
}

func printHelp(w io.Writer) {
	fmt.Fprintln(w, "go run ./bench WORD; WORD -h shows its flags")
	fmt.Fprintln(w)
	for _, x := range words() {
		fmt.Fprintf(w, "  %-8s %-27s %s\n", x.name, x.args, x.about)
	}
	fmt.Fprintln(w, "\nworkloads, written NAME[:KEYS][/CHECKS A REQUEST][@OPEN LOOP]; :1m is a million keys, @50% half of the closed loop's rate, @2000 requests a second:")
	names, about := load.Names()
	for i, n := range names {
		fmt.Fprintf(w, "  %-8s %s\n", n, about[i])
	}
}

// parse reads a word's flags; what is left must be at most most arguments.
func parse(f *flag.FlagSet, args []string, most int) error {
	f.SetOutput(os.Stderr)
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	if f.NArg() > most {
		return fmt.Errorf("%q is one too many; %w", f.Arg(most), errUsage)
	}
	return nil
}
