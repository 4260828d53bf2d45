package main

import "time"

var seedWeb3Market = seed{
	name:    "web3market",
	allowed: []string{"X-RateLimit-Limit", "X-RateLimit-Remaining"},
	denied:  []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining"},
	sample:  sample{after: "Retry-After: 34\nContent-Type: application/json\n", until: "\nThe Retry-After header"},
	cases: append(web3Endpoints(), []seedCase{
		{
			says: []string{"The Web3.Market License API enforces rate limits on all endpoints to ensure fair usage and protect the service from abuse."},
			steps: []step{ // each has its own; what is no endpoint of theirs has none, and no header
				{n: 2, ask: "POST /activate", want: 200, limit: 30, left: 28, window: time.Minute},
				{n: 2, ask: "GET /verify", want: 200, limit: 120, left: 118, window: time.Minute},
				{n: 2, ask: "POST /deactivate", want: 200, limit: 30, left: 28, window: time.Minute},
				{n: 2, ask: "GET /status", want: 200, limit: 60, left: 58, window: time.Minute},
				{n: 2, ask: "GET /", want: 200},
				{n: 2, ask: "POST /verify", want: 200},
			},
		},
		{
			says: []string{"Rate limits are applied per IP address on a rolling window basis."},
			steps: []step{
				{n: 60, ask: "GET /status", from: "a", want: 200, limit: 60, left: 0, window: time.Minute},
				{n: 2, ask: "GET /status", from: "a", want: 429, limit: 60, window: time.Minute},
				{n: 60, ask: "GET /status", from: "b", want: 200, limit: 60, left: 0, window: time.Minute},
				{n: 2, ask: "GET /status", from: "b", want: 429, limit: 60, window: time.Minute},
			},
			also: rolls,
		},
		{
			says: []string{
				"The /verify endpoint has the highest rate limit because it is called by every deployed dApp at runtime.",
				"If you are operating multiple dApps behind the same IP address (e.g., a shared server), the combined request rate across all dApps must stay within the limit.",
			},
			steps: []step{
				{n: 120, ask: "GET /verify?license_key=k1&domain=one.example|GET /verify?license_key=k2&domain=two.example|GET /verify?license_key=k3&domain=three.example",
					with: []string{"Origin: https://one.example|https://two.example|https://three.example", "Authorization: Bearer a$|Bearer b$|Bearer c$"},
					want: 200, limit: 120, left: 0, window: time.Minute},
				{n: 4, ask: "GET /verify?license_key=k4&domain=four.example|GET /verify", with: []string{"Origin: https://four.example"}, want: 429, limit: 120, window: time.Minute},
				{n: 2, ask: "GET /verify?license_key=k1&domain=one.example", from: "b", want: 200, limit: 120, left: 118, window: time.Minute},
			},
		},
		{
			says: []string{
				"Every API response includes rate limit headers so you can track your current usage:",
				"X-RateLimit-LimitThe maximum number of requests allowed in the current window",
				"X-RateLimit-RemainingThe number of requests remaining in the current window",
				"HTTP/1.1 200 OK\nX-RateLimit-Limit: 120\nX-RateLimit-Remaining: 87\nContent-Type: application/json",
				"Check the X-RateLimit-Remaining header in API responses to understand your current consumption.",
			},
			steps: []step{ // the Content-Type of what is allowed is the API's own: these doors have no body to give
				{n: 33, ask: "GET /verify", want: 200, limit: 120, left: 87, window: time.Minute},
				{n: 3, door: "json", ask: "GET /verify", want: 200, limit: 120, left: 84, window: time.Minute},
				{n: 3, door: "msgpack", ask: "GET /verify", want: 200, limit: 120, left: 81, window: time.Minute},
			},
		},
		{
			says: []string{
				"Retry-AfterIncluded only on 429 responses. The number of seconds to wait before retrying",
				"When you exceed the rate limit, the API returns a 429 Too Many Requests response:",
				"HTTP/1.1 429 Too Many Requests\nX-RateLimit-Limit: 120\nX-RateLimit-Remaining: 0\nRetry-After: 34\nContent-Type: application/json",
				"{\n  \"success\": false,\n  \"error\": \"rate_limit_exceeded\",\n  \"message\": \"Too many requests. Please try again later.\"\n}",
				"The Retry-After header tells you how many seconds to wait before the rate limit window resets.",
			},
			steps: []step{
				{n: 120, ask: "GET /verify", want: 200, limit: 120, left: 0, window: time.Minute},
				{n: 4, ask: "GET /verify", want: 429, limit: 120, window: time.Minute},
				{n: 2, door: "json", ask: "GET /verify", want: 429, limit: 120, window: time.Minute},
				{n: 2, door: "msgpack", ask: "GET /verify", want: 429, limit: 120, window: time.Minute},
			},
			also:  opensAfterRetryAfter,
			later: &step{n: 2, ask: "GET /verify", want: 429, limit: 120, window: time.Minute},
		},
	}...),
	others: []aside{
		{why: "headings", says: []string{"API ReferenceRate Limits", "Rate Limits", "Limits per Endpoint", "EndpointMethodRate LimitReason", "Rate Limit Headers", "HeaderDescription",
			"Example Response Headers", "Rate Limit Exceeded Response", "Best Practices", "Cache Verification Results", "Implement Exponential Backoff", "Avoid Unnecessary Calls",
			"Monitor Your Usage"}},
		{why: "advice to clients: cache", says: []string{
			"The most effective way to stay within rate limits is to cache the result of /verify calls. Instead of calling the API on every page load, cache the response and only re-verify at defined intervals.",
			"Using sessionStorage means the cache is cleared when the browser tab is closed. For longer persistence, use localStorage, but be aware that stale cache entries may cause a delay in detecting license changes (e.g., suspension or revocation).",
		}},
		{why: "a client's code", from: "const CACHE_KEY", to: "  return data;\n}\n"},
		{why: "advice to clients: back off", says: []string{
			"If you receive a 429 response, do not immediately retry. Wait for the Retry-After duration, and implement exponential backoff for subsequent retries:",
		}},
		{why: "a client's code; of the server it says that Retry-After is a whole number, which every denial is judged by", from: "async function fetchWithBackoff", to: "  }\n}\n"},
		{why: "advice to clients: ask less", says: []string{
			"Do not call /verify on every route change within a single-page application. Verify once on app initialization and cache the result.",
			"Do not call /status in a tight polling loop. If you need real-time updates, consider checking at longer intervals (e.g., every 5 minutes) or wait for the webhook feature to become available.",
			"Use /activate and /deactivate only when the user explicitly triggers a domain change. These are not endpoints that need to be called programmatically on a schedule.",
			"If the remaining count is consistently low, consider implementing more aggressive caching or reducing your call frequency.",
		}},
	},
}

func web3Endpoints() []seedCase {
	var cases []seedCase
	for _, e := range []struct {
		says, ask, not string
		limit          int
	}{
		{"/activatePOST30 requests/minuteWrite operation, infrequently called", "POST /activate", "GET /activate", 30},
		{"/verifyGET120 requests/minuteHot path, called by deployed dApps on every load", "GET /verify", "POST /verify", 120},
		{"/deactivatePOST30 requests/minuteWrite operation, infrequently called", "POST /deactivate", "GET /deactivate", 30},
		{"/statusGET60 requests/minuteRead operation, moderate usage expected", "GET /status", "PUT /status", 60},
	} {
		cases = append(cases, seedCase{says: []string{e.says}, steps: []step{
			{n: e.limit, ask: e.ask, want: 200, limit: e.limit, left: 0, window: time.Minute},
			{n: 2, ask: e.ask, want: 429, limit: e.limit, window: time.Minute},
			{n: 2, ask: e.not, want: 200}, // another method is not this endpoint
			{n: 2, ask: e.ask, from: "b", want: 200, limit: e.limit, left: e.limit - 2, window: time.Minute},
		}})
	}
	return cases
}
