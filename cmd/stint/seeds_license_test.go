package main

import "time"

const (
	licenseValidation = `{ "message": "Too many validation attempts. Please try again later.", "code": 3 }`
	licenseActivation = `{ "message": "Too many activation attempts. Please try again later.", "code": 3 }`
)

// The page has no numbers, no paths and no sample: those here are the policy's own.
var seedLicenseAPI = seed{
	name:    "license-api",
	allowed: []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	denied:  []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	body:    `{ "message": "Too many requests. Please try again later.", "code": 3 }`,
	cases: []seedCase{
		{
			says: []string{
				"Limits are applied per source IP address to prevent abuse from specific locations.",
				"Rate limits are calculated based on:Source IP Address",
				"The originating IP address of the request.",
				"This helps prevent abuse from specific sources while allowing legitimate distributed usage.",
			},
			steps: []step{ // an address has its limit with and without tokens, however many; another address has its own
				{door: "json", ask: "GET /licenses", hits: 280, want: 200, limit: 300, left: 20, window: time.Minute},
				{n: 10, ask: "GET /licenses|POST /orders", want: 200, limit: 300, left: 10, window: time.Minute},
				{n: 10, ask: "GET /licenses|POST /orders", with: []string{"Authorization: Bearer a$|Bearer b$"}, want: 200, limit: 300, left: 0, window: time.Minute},
				{n: 2, ask: "GET /licenses", want: 429, limit: 300, window: time.Minute},
				{n: 2, ask: "GET /other", with: []string{"Authorization: Bearer c$"}, want: 429, limit: 300, window: time.Minute},
				{n: 2, ask: "GET /licenses", from: "b", with: tokenA, want: 200, limit: 300, left: 298, window: time.Minute},
				{n: 2, ask: "GET /licenses", from: "c", with: tokenA, want: 200, limit: 300, left: 298, window: time.Minute},
			},
		},
		{
			says: []string{
				"Each API access token has its own rate limit allocation for fair resource distribution.",
				"Each authenticated token has its own rate limit allocation, ensuring fair usage across different applications and users.",
			},
			steps: []step{ // a token's allocation is its own, from however many addresses
				{door: "json", ask: "GET /licenses", from: "a", with: []string{"token: a$"}, hits: 299, want: 200, limit: 300, left: 1, window: time.Minute},
				{door: "msgpack", ask: "GET /licenses", from: "b", with: []string{"token: a$"}, hits: 281, want: 200, limit: 300, left: 19, window: time.Minute},
				{n: 20, ask: "GET /licenses", from: "c", with: tokenA, want: 200, limit: 600, left: 0, window: time.Minute},
				{n: 6, ask: "GET /licenses|POST /orders", from: "a|b|c|d", with: tokenA, want: 429, limit: 600, window: time.Minute},
				{n: 2, ask: "GET /licenses", from: "d", with: []string{"Authorization: Bearer b$"}, want: 200, limit: 300, left: 298, window: time.Minute},
			},
		},
		{
			says: []string{
				"Critical endpoints like license validation have additional protective limits.",
				"Critical endpoints such as License Key validation and activation have additional protective limits to maintain system integrity.",
			},
			steps: []step{ // a guesser who makes up a token for each guess is counted by address
				{n: 60, ask: "POST /license-keys/validate", with: []string{"Authorization: Bearer a$|Bearer b$|Bearer c$"}, want: 200, limit: 60, left: 0, window: time.Minute},
				{n: 2, ask: "POST /license-keys/validate", with: []string{"Authorization: Bearer d$"}, want: 429, limit: 60, window: time.Minute, body: licenseValidation},
				{n: 10, ask: "POST /license-keys/activate", with: []string{"Authorization: Bearer a$|"}, want: 200, limit: 10, left: 0, window: time.Minute},
				{n: 2, ask: "POST /license-keys/activate", want: 429, limit: 10, window: time.Minute, body: licenseActivation},
				{n: 2, door: "json", ask: "POST /license-keys/activate", want: 429, limit: 10, window: time.Minute, body: licenseActivation},
				{n: 2, ask: "GET /licenses", want: 200, limit: 300, left: 228, window: time.Minute}, // additional: the others go on
				{n: 2, ask: "POST /license-keys/validate", from: "b", want: 200, limit: 60, left: 58, window: time.Minute},
				{n: 2, ask: "POST /license-keys/activate", from: "b", want: 200, limit: 10, left: 8, window: time.Minute},
			},
		},
		{
			says: []string{
				"Rate limiting helps ensure fair usage and protects against abuse while maintaining optimal API performance for all users.",
				"When you exceed the rate limit, the API responds with:- HTTP Response",
				"JSON Response",
			},
			steps: []step{
				{door: "msgpack", ask: "GET /licenses", hits: 300, want: 200, limit: 300, left: 0, window: time.Minute},
				{n: 2, ask: "GET /licenses", want: 429, limit: 300, window: time.Minute},
				{n: 2, door: "json", ask: "GET /licenses", want: 429, limit: 300, window: time.Minute},
				{n: 2, door: "msgpack", ask: "GET /licenses", want: 429, limit: 300, window: time.Minute},
				{n: 2, ask: "POST /license-keys/validate", want: 429, limit: 300, window: time.Minute},
			},
			later: &step{n: 2, ask: "GET /licenses", want: 429, limit: 300, window: time.Minute},
		},
		{
			says: []string{"Check for rate limit headers in responses to proactively adjust your request frequency."},
			steps: []step{
				{n: 3, ask: "GET /licenses", want: 200, limit: 300, left: 297, window: time.Minute},
				{n: 3, ask: "GET /licenses", with: tokenA, want: 200, limit: 300, left: 294, window: time.Minute},
				{n: 3, ask: "POST /license-keys/validate", with: tokenA, want: 200, limit: 60, left: 57, window: time.Minute},
			},
		},
	},
	others: []aside{
		{why: "headings", says: []string{"How Rate Limiting Works", "IP-Based Limits", "Token-Based Limits", "Endpoint-Specific Limits", "Rate Limiting Factors", "Source IP Address",
			"API Access Token", "Specific Resources", "Rate Limit Exceeded Response", "Handling 429 Too Many Requests", "Best Practices", "1", "2", "3", "4",
			"Cache API Responses", "Use Batch Operations", "Monitor Rate Limit Headers", "Implement Exponential Backoff"}},
		{why: "advice to clients: when and how to try again", says: []string{
			"Do Not Retry Immediately: Avoid sending repeated requests immediately after receiving a 429.",
			"Implement Exponential Backoff:",
			"Wait for a short period (e.g., 1 second) before retrying.",
			"If the request fails again, double the wait time (e.g., 2 seconds, then 4 seconds, etc.).",
			"Continue this pattern up to a reasonable maximum delay.",
			"When you receive a 429 response, wait progressively longer between retries (e.g., 1s, 2s, 4s, 8s).",
		}},
		{why: "advice to clients: how to ask less", says: []string{
			"Review Your Request Patterns: Persistent 429 errors may indicate overly frequent calls. Optimize your integration to reduce unnecessary requests.",
			"Reduce API calls by caching responses when appropriate, especially for license validation results.",
			"Where available, use batch endpoints to reduce the total number of API calls required.",
			"Avoid polling endpoints unnecessarily. Implement webhook handlers where possible to receive real-time updates instead of frequent polling.",
		}},
	},
}
