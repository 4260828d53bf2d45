package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newMembers() *cobra.Command {
	var admin string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List the members as one node sees them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := get("http://" + admin + "/v1/members")
			if err != nil {
				return &exit{exitUnavailable, err}
			}
			w := cmd.OutOrStdout()
			if asJSON {
				fmt.Fprintf(w, "%s\n", answer)
				return nil
			}
			var v struct {
				Ring    string
				Members []struct {
					Name, State, Checks, Version string
					Partitions                   int
				}
			}
			if err := json.Unmarshal(answer, &v); err != nil {
				return &exit{exitUnavailable, fmt.Errorf("the node's answer cannot be read: %w", err)}
			}
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tSTATE\tPARTITIONS\tCHECKS\tVERSION")
			for _, m := range v.Members {
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", m.Name, m.State, m.Partitions, m.Checks, m.Version)
			}
			if err := t.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(w, "ring %s\n", v.Ring)
			return nil
		},
	}
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:7073", "`HOST:PORT` of any node's admin")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the node's answer as it came")
	return cmd
}
