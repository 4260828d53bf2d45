package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newForget() *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Give up a member that died and will not come back",
		Long: `Tells the cluster, through any node, that a member which died without a goodbye will not come back:
nobody calls it any more or waits for it, and under on_split: share its part of each limit goes to the others at once.
A member that is there, or has been until seconds ago, is refused. If a forgotten one comes back all the same, it is a member again.`,
		Example: `  stint forget n3
  stint forget n3 --admin 10.0.0.1:7073`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tell("http://" + admin + "/v1/forget?name=" + url.QueryEscape(args[0])); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:7073", "`HOST:PORT` of any node's admin")
	return cmd
}

// tell asks a node's admin to do something. That it will not has exit status 2.
func tell(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Post(url, "", nil)
	if err != nil {
		return &exit{exitUnavailable, fmt.Errorf("ask %s: %w (is a node running there? start one with: stint serve)", url, err)}
	}
	status := resp.StatusCode
	if _, err = answerOf(url, resp); err == nil {
		return nil
	}
	if status == http.StatusBadRequest || status == http.StatusConflict {
		return &exit{exitUse, err}
	}
	return asked(err)
}
