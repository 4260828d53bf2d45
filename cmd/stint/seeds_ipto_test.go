package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"
)

var seedIPTO = seed{
	name:    "ipto",
	allowed: []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	denied:  []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	sample:  sample{"429 Too Many Requests response:\n", "\nBest Practices", []string{`"retry_after": 60`, `"retry_after": ${retry}`}},
	cases: append([]seedCase{
		{
			says: []string{
				"All API responses include rate limit information in the headers:",
				"X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 95\nX-RateLimit-Reset: 1616320000",
				"Rate limit headers", // of "Monitor your API usage through"
			},
			steps: []step{
				{n: 5, ask: "GET /profile", with: tokenA, want: 200, limit: 100, left: 95, window: time.Minute},
				{n: 5, ask: "POST /microip", with: tokenA, want: 200, limit: 5, left: 0, window: time.Hour},
				{n: 2, ask: "POST /microip", with: tokenA, want: 429, limit: 5, window: time.Hour},
				{n: 2, door: "json", ask: "GET /profile", from: "b", want: 200, limit: 100, left: 98, window: time.Minute},
				{n: 2, door: "msgpack", ask: "GET /profile", from: "b", want: 200, limit: 100, left: 96, window: time.Minute},
			},
		},
		{
			says: []string{
				"When you exceed a rate limit, you’ll receive a 429 Too Many Requests response:",
				"{\n  \"detail\": \"Rate limit exceeded\",\n  \"retry_after\": 60\n}",
				"retry_after = int(response.headers.get('Retry-After', 60))",
			},
			steps: []step{ // the body, word for word, with the number that Retry-After has too: judged at every denial
				{n: 50, ask: "GET /search?q=x", with: tokenA, want: 200, limit: 50, window: time.Minute},
				{n: 2, ask: "GET /search?q=y", with: tokenA, want: 429, limit: 50, window: time.Minute},
				{n: 2, door: "json", ask: "GET /search", with: []string{"token: a$"}, want: 429, limit: 50, window: time.Minute},
				{n: 2, door: "msgpack", ask: "GET /search", with: []string{"token: a$"}, want: 429, limit: 50, window: time.Minute},
			},
			later: &step{n: 2, ask: "GET /search", with: tokenA, want: 429, limit: 50, window: time.Minute},
		},
		{
			says: []string{
				"The IPTO API implements rate limiting to ensure fair usage and system stability.",
				"Requests per minute10060 seconds",
			},
			steps: []step{ // by token, whatever the endpoint and the address; without one by address
				{n: 40, ask: "GET /search", from: "a|b|c", with: tokenA, want: 200, limit: 50, left: 10, window: time.Minute},
				{n: 60, ask: "GET /profile|POST /feedback", from: "a|b|c", with: tokenA, want: 200, limit: 100, left: 0, window: time.Minute},
				{n: 4, ask: "GET /search|GET /profile", from: "a|d", with: tokenA, want: 429, limit: 100, window: time.Minute},
				{n: 2, ask: "GET /profile", with: []string{"Authorization: Bearer b$"}, want: 200, limit: 100, left: 98, window: time.Minute},
				{n: 100, ask: "GET /profile|POST /feedback", want: 200, limit: 100, left: 0, window: time.Minute},
				{n: 2, ask: "GET /profile", want: 429, limit: 100, window: time.Minute},
				{n: 2, ask: "GET /profile", from: "b", want: 200, limit: 100, left: 98, window: time.Minute},
			},
			also: countsThreeWindows,
		},
		{
			says: []string{"Requests per hour10003600 seconds"},
			steps: []step{
				{n: 9, door: "json", policy: "ipto-hour", ask: "GET /profile", with: []string{"token: a$"}, hits: 110, want: 200, limit: 1000, left: 10, window: time.Hour},
				{n: 10, policy: "ipto-hour", ask: "GET /profile|POST /feedback", with: tokenA, want: 200, limit: 1000, left: 0, window: time.Hour},
				{n: 2, policy: "ipto-hour", ask: "GET /profile", with: tokenA, want: 429, limit: 1000, window: time.Hour},
				{policy: "ipto-hour", ask: "GET /profile", want: 200, limit: 1000, left: 999, window: time.Hour},
			},
		},
		{
			says: []string{"Requests per day1000086400 seconds"},
			steps: []step{
				{n: 9, door: "msgpack", policy: "ipto-day", ask: "GET /profile", with: []string{"token: a$"}, hits: 1110, want: 200, limit: 10_000, left: 10, window: 24 * time.Hour},
				{n: 10, policy: "ipto-day", ask: "GET /profile|POST /feedback", with: tokenA, want: 200, limit: 10_000, left: 0, window: 24 * time.Hour},
				{n: 2, policy: "ipto-day", ask: "GET /profile", with: tokenA, want: 429, limit: 10_000, window: 24 * time.Hour},
				{policy: "ipto-day", ask: "GET /profile", want: 200, limit: 10_000, left: 9999, window: 24 * time.Hour},
			},
		},
		{
			says: []string{"Magic link requests31 hour per email"},
			steps: []step{ // per e-mail, whoever asks over whichever door, and however it is written; without one per address
				{door: "json", ask: "POST /auth/login", with: []string{"email: anna$@example.org"}, want: 200, limit: 3, left: 2, window: time.Hour},
				{door: "msgpack", ask: "POST /auth/login", from: "b", with: []string{"email:  Anna$@Example.org "}, want: 200, limit: 3, left: 1, window: time.Hour},
				{ask: "POST /auth/login", from: "c", with: []string{`body: {"email":"anna$@example.org"}`}, want: 200, limit: 3, left: 0, window: time.Hour},
				{n: 3, ask: "POST /auth/login", from: "d|e|f", with: []string{`body: {"email":"ANNA$@example.org"}`}, want: 429, limit: 3, window: time.Hour},
				{n: 2, door: "json", ask: "POST /auth/login", from: "d", with: []string{"email: anna$@example.org"}, want: 429, limit: 3, window: time.Hour},
				{n: 2, door: "msgpack", ask: "POST /auth/login", from: "d", with: []string{"email: anna$@example.org"}, want: 429, limit: 3, window: time.Hour},
				{ask: "POST /auth/login", from: "d", with: []string{`body: {"email":"bert$@example.org"}`}, want: 200, limit: 3, left: 2, window: time.Hour},
				{ask: "GET /profile", from: "d", want: 200, limit: 100, left: 98, window: time.Minute}, // the five denials cost it nothing
				{n: 3, ask: "POST /auth/login", from: "g", want: 200, limit: 3, left: 0, window: time.Hour},
				{n: 2, ask: "POST /auth/login", from: "g", with: []string{`body: not JSON`}, want: 429, limit: 3, window: time.Hour},
			},
		},
		{
			says: []string{"Token verification5Per magic link"},
			steps: []step{ // the window is ours: a link lives for ten minutes
				{n: 5, ask: "GET /auth/verify?token=L$", from: "a|b|c", want: 200, limit: 5, left: 0, window: 15 * time.Minute},
				{n: 2, ask: "GET /auth/verify?token=L$", from: "d", want: 429, limit: 5, window: 15 * time.Minute},
				{n: 2, door: "json", ask: "GET /auth/verify", from: "d", with: []string{"magic_link: L$"}, want: 429, limit: 5, window: 15 * time.Minute},
				{n: 2, ask: "GET /auth/verify?token=M$", from: "d", want: 200, limit: 5, left: 3, window: 15 * time.Minute},
				{n: 5, ask: "GET /auth/verify", from: "e", want: 200, limit: 5, left: 0, window: 15 * time.Minute},
				{n: 2, ask: "GET /auth/verify?token=", from: "e", want: 429, limit: 5, window: 15 * time.Minute},
			},
		},
		{
			says: []string{"Token refresh101 hour per token"},
			steps: []step{
				{n: 10, ask: "POST /auth/refresh", from: "a|b|c", with: tokenA, want: 200, limit: 10, left: 0, window: time.Hour},
				{n: 2, ask: "POST /auth/refresh", from: "d", with: tokenA, want: 429, limit: 10, window: time.Hour},
				{n: 2, ask: "POST /auth/refresh", from: "d", with: []string{"Authorization: Bearer b$"}, want: 200, limit: 10, left: 8, window: time.Hour},
				{n: 10, ask: "POST /auth/refresh", from: "d", want: 200, limit: 10, left: 0, window: time.Hour},
				{n: 2, ask: "POST /auth/refresh", from: "d", want: 429, limit: 10, window: time.Hour},
			},
		},
	}, iptoEndpoints()...),
	others: []aside{
		{why: "headings", says: []string{"Rate Limits", "Rate Limit Headers", "Global Limits", "Limit TypeLimitWindow", "Endpoint-Specific Limits", "Authentication",
			"EndpointLimitWindow", "Assets", "MicroIP", "Balance", "Wallet", "Handling Rate Limits", "Rate Limit Exceeded", "Best Practices", "Example: Handling Rate Limits",
			"Increasing Limits", "Monitoring Usage", "Monitor your API usage through:"}},
		{why: "about the page", says: []string{"This guide explains our rate limiting policies and how to handle them."}},
		{why: "advice to clients", says: []string{"Implement exponential backoff", "Cache responses when possible", "Monitor rate limit headers", "Handle 429 responses gracefully",
			"Use bulk endpoints when available", "Implement proper error handling", "Use appropriate timeouts", "Cache when possible", "Batch requests when available", "Monitor your usage"}},
		{why: "a client's code; of the server it says that Retry-After is a whole number, which is a case", from: "import time\n", to: "return response\n"},
		{why: "between people; what comes of it is an override (transport/policy)", says: []string{"To request higher rate limits:", "Contact our support team",
			"Provide your use case", "Share your expected volume", "Explain your business needs"}},
		{why: "not built yet: usage, the dashboard and webhooks", says: []string{"Dashboard metrics", "Usage reports", "Webhook notifications"}},
	},
}

// countsThreeWindows shows that the policy as it is counts a request in all three windows at once, although nobody can see two of
// them from a door: the first is always the tightest. What is asked is the admin port of each node.
func countsThreeWindows(t *testing.T, a *seedAsker) {
	for _, n := range a.nodes {
		resp, err := a.client.Get("http://" + n.Admin() + "/v1/explain?key=ip=" + a.address('b'))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		type stands struct {
			Policy, Rule, Limit string
			Spent, Remaining    int
		}
		var e struct{ Limits []stands }
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("explain: %s: %v", resp.Status, err)
		}
		for limit, count := range map[string]int{"100/1m": 100, "1000/1h": 1000, "10000/1d": 10_000} {
			if !slices.Contains(e.Limits, stands{"ipto", "global", limit, 2, count - 2}) {
				t.Errorf("%s does not count two hits under %s: %+v", n.Name, limit, e.Limits)
			}
		}
	}
}

var tokenA = []string{"Authorization: Bearer a$"}

// iptoEndpoints are the rows of the endpoint tables that count by the caller alone: its token, or its address.
func iptoEndpoints() []seedCase {
	var cases []seedCase
	for _, e := range []struct {
		says, ask string
		limit     int
		window    time.Duration
	}{
		{"Asset creation101 hour", "POST /assets", 10, time.Hour},
		{"Asset listing1001 minute", "GET /assets", 100, time.Minute},
		{"Asset updates201 hour", "PUT /assets/7|PATCH /assets/8", 20, time.Hour},
		{"License creation51 hour", "POST /microip", 5, time.Hour},
		{"Asset downloads201 hour", "GET /microip/7/download|GET /microip/8/download", 20, time.Hour},
		{"Search requests501 minute", "GET /search?q=a|GET /search?q=b", 50, time.Minute},
		{"Deposits101 hour", "POST /balance/deposit", 10, time.Hour},
		{"Withdrawals51 hour", "POST /balance/withdraw", 5, time.Hour},
		{"Balance checks1001 minute", "GET /balance", 100, time.Minute},
		{"Wallet addition51 hour", "POST /wallet/btc|POST /wallet/eth", 5, time.Hour},
		{"Wallet verification101 hour", "POST /wallet/btc/x1/verify|POST /wallet/eth/x2/verify", 10, time.Hour},
		{"Wallet listing501 minute", "GET /wallet|GET /wallet/btc", 50, time.Minute},
	} {
		policy, global := "ipto", 100
		if e.limit == global {
			policy, global = "ipto-wide", 900
		}
		ask := func(n int, with []string, from string, want, left int) step {
			return step{n: n, policy: policy, ask: e.ask, with: with, from: from, want: want, limit: e.limit, left: left, window: e.window}
		}
		cases = append(cases, seedCase{says: []string{e.says}, steps: []step{
			ask(e.limit, tokenA, "a|b|c", 200, 0),
			ask(2, tokenA, "a|d", 429, 0),
			// The endpoint's limit is its own, on top of the global one, which the denials cost nothing.
			{policy: policy, ask: "GET /profile", with: tokenA, want: 200, limit: global, left: global - e.limit - 1, window: time.Minute},
			ask(2, []string{"Authorization: Bearer b$"}, "a", 200, e.limit-2),
			// Without a token the address counts.
			ask(e.limit, nil, "d", 200, 0),
			ask(2, nil, "d", 429, 0),
			ask(2, nil, "e", 200, e.limit-2),
		}})
	}
	return cases
}
