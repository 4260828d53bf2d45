package main

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stint-limiter/stint/transport/policy"
)

// loadPolicies reads the policy files that a node is started with. A mistake in any refuses the start; it is written for people,
// as `stint policy check` does. Warnings are logged.
func loadPolicies(paths []string, hashKey []byte, w io.Writer, log *slog.Logger) ([]*policy.Policy, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	policies, problems := policy.Load(time.Now(), paths...)
	if problems.Err() {
		if err := problems.Of(policy.Error).WriteText(w); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("not started: the policy has mistakes (stint policy check shows all of them)")
	}
	for _, p := range problems.Of(policy.Warning) {
		log.Warn("policy", "file", p.File, "line", p.Line, "warning", p.Message, "hint", p.Hint)
	}
	for _, p := range policies {
		p.SetHashKey(hashKey)
	}
	return policies, nil
}

func policyNames(policies []*policy.Policy) []string {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.Name
	}
	return names
}
