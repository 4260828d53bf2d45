package main

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stint-limiter/stint/transport/policy"
)

// tryFlags are the made-up request of `policy try` and its relations, in curl's words.
type tryFlags struct {
	n           int
	every       time.Duration
	from        string
	headers     []string
	data        string
	hashKeyFile string
}

func (f *tryFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "`IP` that the request comes from (default 192.0.2.1)")
	fl.StringArrayVarP(&f.headers, "header", "H", nil, "`'Name: value'`; repeatable")
	fl.StringVarP(&f.data, "data", "d", "", "`BODY`, or @FILE")
	fl.StringVar(&f.hashKeyFile, "hash-key-file", "", "`FILE` with the cluster's hash key, which secrets are hashed with")
}

// options makes the request of the flags and METHOD URL.
func (f *tryFlags) options(method, url string) (policy.TryOptions, error) {
	o := policy.TryOptions{Method: strings.ToUpper(method), URL: url, Header: http.Header{}, N: f.n, Every: f.every}
	if f.from != "" {
		ip, err := netip.ParseAddr(f.from)
		if err != nil {
			return o, fmt.Errorf("--from %q: want an IP address: %w", f.from, err)
		}
		o.From = ip
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return o, fmt.Errorf("-H %q: want 'Name: value'", h)
		}
		o.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if path, ok := strings.CutPrefix(f.data, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return o, fmt.Errorf("-d: %w", err)
		}
		o.Body = b
	} else if f.data != "" {
		o.Body = []byte(f.data)
	}
	if o.Body != nil && o.Header.Get("Content-Type") == "" {
		kind := "application/x-www-form-urlencoded"
		if strings.HasPrefix(strings.TrimSpace(string(o.Body)), "{") {
			kind = "application/json"
		}
		o.Header.Set("Content-Type", kind)
	}
	return o, nil
}

// methodAndURL reads the last arguments: [METHOD] URL.
func methodAndURL(args []string) (method, url string) {
	if len(args) == 1 {
		return http.MethodGet, args[0]
	}
	return args[0], args[1]
}

func newPolicyTry() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "try FILE [METHOD] URL",
		Short: "Send made-up requests through a policy, in memory, and show the answers",
		Long: `Sends made-up requests through the code that a node runs, over lines in memory, and prints the first answer, the
last allowed and the first denied as HTTP.`,
		Example: `  stint policy try api.yaml GET /verify
  stint policy try api.yaml POST /auth/login -d '{"email":"a@example.com"}' --from 203.0.113.9
  stint policy try api.yaml GET /items?seller=42 -H 'X-User-Id: 7' -n 1000 --every 1s`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args, policy.Try) },
	}
	cmd.Flags().IntVarP(&f.n, "requests", "n", 0, "how many requests (default: until one is denied)")
	cmd.Flags().DurationVar(&f.every, "every", 0, "time between them (default: all at once)")
	f.register(cmd)
	return cmd
}

func newPolicyExplain() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "explain FILE [METHOD] URL",
		Short: "Say which rules match a request, what each counts it by and why, and what would be sent",
		Args:  cobra.RangeArgs(2, 3),
		RunE:  func(cmd *cobra.Command, args []string) error { return f.run(cmd, args, policy.Explain) },
	}
	f.register(cmd)
	return cmd
}

func newPolicyKey() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "key FILE [[METHOD] URL]",
		Short: "Print the keys of a request, secrets hashed: for an override, or for /v1/explain",
		Args:  cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				args = append(args, "/")
			}
			return f.run(cmd, args, policy.Keys)
		},
	}
	f.register(cmd)
	return cmd
}

// run does one of the policy's own commands to the request of the flags.
func (f *tryFlags) run(cmd *cobra.Command, args []string, do func(*policy.Policy, policy.TryOptions, io.Writer) error) error {
	o, err := f.options(methodAndURL(args[1:]))
	if err != nil {
		return err
	}
	p, err := onePolicy(args[0], f.hashKeyFile)
	if err != nil {
		return err
	}
	return do(p, o, cmd.OutOrStdout())
}
