package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stint-limiter/stint/transport/policy"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Check, try and start policy files",
		// Without it cobra takes `policy chek FILE` for a wish for help, and a pipeline that misspells it passes.
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("unknown command %q for \"stint policy\"; there are: check, example, explain, init, key, try", args[0])
		},
	}
	cmd.AddCommand(newPolicyCheck(), newPolicyExample(), newPolicyInit(), newPolicyTry(), newPolicyExplain(), newPolicyKey())
	return cmd
}

func newPolicyCheck() *cobra.Command {
	var asJSON, github, strict bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what policy files mean, or what is wrong with them",
		Long: `Reads the files as "stint serve" would (- is standard input) and prints what they mean, or every mistake with
its line, column and repair.

Exit status: 0 usable, 1 errors (with --strict also warnings), 2 wrong use.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && github {
				return errors.New("--json and --github together: choose one")
			}
			policies, problems, err := readPolicies(args)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			switch {
			case asJSON:
				err = problems.WriteJSON(w)
			case github:
				err = problems.WriteGitHub(w)
			case problems.Err():
				err = problems.WriteText(w)
			default:
				for i, p := range policies {
					if i > 0 {
						fmt.Fprintln(w)
					}
					if err = policy.WriteCheck(w, p, of(problems, p.File)); err != nil {
						break
					}
				}
			}
			if err != nil {
				return err
			}
			if problems.Err() || strict && problems.Count(policy.Warning) > 0 {
				return &exit{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the problems as JSON")
	cmd.Flags().BoolVar(&github, "github", false, "print the problems as GitHub annotations")
	cmd.Flags().BoolVar(&strict, "strict", false, "warnings fail too")
	return cmd
}

// readPolicies reads files; - is standard input.
func readPolicies(paths []string) ([]*policy.Policy, policy.Problems, error) {
	for _, path := range paths {
		if path != "-" {
			continue
		}
		if len(paths) > 1 {
			return nil, nil, errors.New("- is standard input, and goes alone")
		}
		src, err := io.ReadAll(io.LimitReader(stdin, policy.MaxFile+1))
		if err != nil {
			return nil, nil, fmt.Errorf("read standard input: %w", err)
		}
		policies, problems := policy.ParseAll(time.Now(), []policy.File{{Name: "stdin", Src: src}})
		return policies, problems, nil
	}
	policies, problems := policy.Load(time.Now(), paths...)
	return policies, problems, nil
}

// of returns the problems of one file.
func of(all policy.Problems, file string) policy.Problems {
	var out policy.Problems
	for _, p := range all {
		if p.File == file {
			out = append(out, p)
		}
	}
	return out
}

// onePolicy reads the policy that a command is about; its mistakes go to standard error.
func onePolicy(path, hashKeyFile string) (*policy.Policy, error) {
	hashKey, err := readKey("hash-key-file", hashKeyFile, 16)
	if err != nil {
		return nil, err
	}
	policies, problems, err := readPolicies([]string{path})
	if err != nil {
		return nil, err
	}
	if problems.Err() {
		if err := problems.Of(policy.Error).WriteText(os.Stderr); err != nil {
			return nil, err
		}
		return nil, &exit{code: 1}
	}
	policies[0].SetHashKey(hashKey)
	return policies[0], nil
}

func newPolicyExample() *cobra.Command {
	return &cobra.Command{
		Use:       "example " + strings.Join(policy.ExampleNames(), "|"),
		Short:     "Print a complete policy to start from",
		Args:      cobra.ExactArgs(1),
		ValidArgs: policy.ExampleNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, ok := policy.Example(args[0])
			if !ok {
				return fmt.Errorf("there is no example %q; there are: %s", args[0], strings.Join(policy.ExampleNames(), ", "))
			}
			_, err := cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func newPolicyInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Print a small commented policy that passes the check",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.Init())
			return err
		},
	}
}
