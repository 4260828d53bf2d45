package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// maxAnswer bounds what the commands read of a node's answer.
const maxAnswer = 4 << 20

func newCheck() *cobra.Command {
	var addr string
	var hits int64
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check KEY LIMIT...",
		Short: "Ask a node whether a key may be hit now",
		Long: `Asks any node of the cluster, and spends the hits if it is allowed.

Exit status: 0 allowed, 1 denied, 2 wrong use, 3 the node could not be asked.`,
		Example: `  stint check account:42 100/1m 1000/1h
  stint check account:42 100/1m --hits 0     # only look`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := json.Marshal(map[string]any{
				"checks":     []any{map[string]any{"key": args[0], "limits": args[1:], "hits": hits}},
				"timeout_ms": timeout.Milliseconds(),
			})
			if err != nil {
				return err
			}
			answer, err := post("http://"+addr+"/v1/check", body, timeout)
			if err != nil {
				return asked(err)
			}
			if asJSON {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(answer))
			}
			return printDecision(cmd.OutOrStdout(), answer, asJSON)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:7070", "`HOST:PORT` of any node's checks")
	cmd.Flags().Int64Var(&hits, "hits", 1, "how many hits; 0 only looks, negative gives back")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Second, "how long to wait for the answer, 1ms to 10s")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the node's answer as it came")
	return cmd
}

// post sends a request and returns the answer's body; an answer that is no 200 is an error with what the node said.
func post(url string, body []byte, timeout time.Duration) ([]byte, error) {
	client := http.Client{Timeout: timeout + time.Second}
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w (is a node running there? start one with: stint serve)", url, err)
	}
	return answerOf(url, resp)
}

// get fetches a page of a node's admin.
func get(url string) ([]byte, error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w (is a node running there? start one with: stint serve)", url, err)
	}
	return answerOf(url, resp)
}

// asked gives an error its exit code: that of a node that could not be asked, unless it has one.
func asked(err error) error {
	var e *exit
	if errors.As(err, &e) {
		return err
	}
	return &exit{exitUnavailable, err}
}

func answerOf(url string, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		if json.Unmarshal(answer, &problem) == nil && problem.Detail != "" {
			err := fmt.Errorf("%s", problem.Detail)
			if resp.StatusCode == http.StatusBadRequest {
				return nil, &exit{exitUse, err} // the node was asked, and said what is wrong with the question
			}
			return nil, err
		}
		return nil, fmt.Errorf("ask %s: %s", url, resp.Status)
	}
	return answer, nil
}

// printDecision prints the only decision of an answer for a person, and turns a denial into exit status 1.
func printDecision(w io.Writer, answer []byte, quiet bool) error {
	var a struct {
		Decisions []struct {
			Allowed, Never   bool
			Limit, Remaining uint32
			ResetMS          int64 `json:"reset_ms"`
			RetryMS          int64 `json:"retry_ms"`
			By, Via          string
		}
	}
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Decisions) != 1 {
		return &exit{exitUnavailable, fmt.Errorf("the node's answer cannot be read: %.200q", answer)}
	}
	d := a.Decisions[0]
	if !quiet {
		word := "denied "
		if d.Allowed {
			word = "allowed"
		}
		switch {
		case d.By == "":
			fmt.Fprintf(w, "%s  no limit decided (%s)\n", word, d.Via)
		case d.Never:
			fmt.Fprintf(w, "%s  %s  never: more hits than the limit has\n", word, d.By)
		case d.Allowed:
			fmt.Fprintf(w, "%s  %s  %d of %d remaining, more in %s  via %s\n", word, d.By, d.Remaining, d.Limit, millis(d.ResetMS), d.Via)
		default:
			fmt.Fprintf(w, "%s  %s  %d of %d remaining, retry in %s  via %s\n", word, d.By, d.Remaining, d.Limit, millis(d.RetryMS), d.Via)
		}
	}
	if !d.Allowed {
		return &exit{code: exitDenied}
	}
	return nil
}

func millis(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

// stdin is read where a file is called `-`.
var stdin io.Reader = os.Stdin
