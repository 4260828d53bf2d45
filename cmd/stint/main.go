// Command stint is the one binary: it runs a node and asks one. It wires the rooms together and does nothing else.
//
//	stint serve                      a cluster of one
//	stint check KEY LIMIT...         ask a node
//	stint members                    who is in the cluster
//	stint forget NAME                who will not come back
//	stint policy check FILE          what a policy file means, or what is wrong with it
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker (Makefile).
var version = "dev"

// Exit codes. A denied check is not an error, but scripts want to know.
const (
	exitOK          = 0
	exitDenied      = 1 // denied; or, for `policy check`, errors
	exitUse         = 2 // wrong use
	exitUnavailable = 3 // the node could not be asked
)

// An exit is an error with an exit code of its own. A silent one has said already what there is to say.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

// run is main without the exit, for tests.
func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	var e *exit
	if !errors.As(err, &e) {
		e = &exit{exitUse, err}
	}
	if e.err != nil {
		fmt.Fprintln(os.Stderr, "stint:", e.err)
	}
	return e.code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "stint",
		Short:         "A rate limiter that runs as a cluster of equal nodes, in memory",
		SilenceUsage:  true,
		SilenceErrors: true,
		Long: `Stint answers one question, "may this caller do this now?", from any node of a cluster,
in memory, without a database and without consensus.

Every flag may also be given as an environment variable (--leave-timeout is STINT_LEAVE_TIMEOUT)
or as a key of the file that --config names (leave-timeout: 10s). A flag wins over the
environment, and the environment over the file.`,
	}
	root.PersistentFlags().String("config", "", "a YAML `FILE` with settings, named as the flags are")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return settle(cmd) }
	root.AddCommand(newServe(), newCheck(), newMembers(), newForget(), newPolicy(), newVersion())
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "stint", versionText())
		},
	}
}
