package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/transport/policy"
)

// A policySet is the policies in force. Doors ask for them once a request; a reload swaps them whole.
type policySet struct {
	paths   []string
	hashKey []byte
	log     *slog.Logger

	now    atomic.Pointer[[]*policy.Policy]
	failed atomic.Bool // the last reload was refused
}

// newPolicySet reads the policy files that a node is started with. A mistake in any refuses the start; it is written for
// people, as `stint policy check` does. Warnings are logged.
func newPolicySet(paths []string, hashKey []byte, w io.Writer, log *slog.Logger) (*policySet, error) {
	s := &policySet{paths: paths, hashKey: hashKey, log: log}
	policies, problems := s.load()
	if problems.Err() {
		if err := problems.Of(policy.Error).WriteText(w); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("not started: the policy has mistakes (stint policy check shows all of them)")
	}
	s.now.Store(&policies)
	return s, nil
}

func (s *policySet) load() ([]*policy.Policy, policy.Problems) {
	policies, problems := policy.Load(time.Now(), s.paths...)
	for _, p := range problems.Of(policy.Warning) {
		s.log.Warn("policy", "file", p.File, "line", p.Line, "warning", p.Message, "hint", p.Hint)
	}
	for _, p := range policies {
		p.SetHashKey(s.hashKey)
	}
	return policies, problems
}

// reload reads the files again. Where they have a mistake, every one is logged and the old policies stay in force.
func (s *policySet) reload() {
	policies, problems := s.load()
	s.failed.Store(problems.Err())
	if problems.Err() {
		for _, p := range problems.Of(policy.Error) {
			s.log.Error("policy not reloaded: the old one stays in force", "file", p.File, "line", p.Line, "column", p.Col, "error", p.Message, "hint", p.Hint)
		}
		return
	}
	s.now.Store(&policies)
	s.log.Info("policies reloaded", "policies", s.names())
}

// all returns the policies in force.
func (s *policySet) all() []*policy.Policy { return *s.now.Load() }

func (s *policySet) names() []string {
	names := []string{}
	for _, p := range s.all() {
		names = append(names, p.Name)
	}
	return names
}
