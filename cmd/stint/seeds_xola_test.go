package main

import "time"

var xolaCaller = []string{"X-User-Id: u$"}

var seedXola = seed{
	name:    "xola",
	allowed: []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	denied:  []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
	sample: sample{"Retry-After: 296\n", "  • resetTime", []string{`"current": 905`, `"current": ${current}`, "2021-02-01T16:33:17.579Z", "${reset}",
		`"retryInSeconds":296`, `"retryInSeconds":${retry}`}},
	cases: []seedCase{
		{
			says: []string{"900 requests in an 30 minute window (averages out to 2 requests per second)."}, // one every two seconds: the page's slip
			steps: []step{
				{n: 900, ask: "GET /api/experiences?seller=s$|POST /api/orders?seller=s$", with: xolaCaller, want: 200, limit: 900, left: 0, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/experiences?seller=s$", with: xolaCaller, want: 429, limit: 900, window: 30 * time.Minute, current: 901},
			},
		},
		{
			says: []string{
				"The rate limits are calculated based on user and seller information available in the API call. We follow the below comparison order:",
				"User ID and Seller ID (if present)",
				"We go through the above combinations, choose the most applicable one, and block the combination of that API call.",
			},
			steps: []step{ // from wherever; and only that combination is blocked
				{door: "json", ask: "GET /api", from: "a", with: []string{"user: u$", "seller: s$"}, hits: 896, want: 200, limit: 900, left: 4, window: 30 * time.Minute},
				{n: 4, ask: "GET /api/a?seller=s$|POST /api/b?seller=s$", from: "a|b|c", with: xolaCaller, want: 200, limit: 900, left: 0, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/c?seller=s$", from: "a|d", with: xolaCaller, want: 429, limit: 900, window: 30 * time.Minute, current: 901},
				{n: 2, ask: "GET /api/a?seller=z$", with: xolaCaller, want: 200, limit: 900, left: 898, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/a?seller=s$", with: []string{"X-User-Id: v$"}, want: 200, limit: 900, left: 898, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/a", with: xolaCaller, want: 200, limit: 900, left: 898, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/a", want: 200, limit: 900, left: 898, window: 30 * time.Minute},
			},
		},
		{
			says: []string{"If Seller ID is not present, then only User ID is used."},
			steps: []step{
				{door: "msgpack", ask: "GET /api", with: []string{"user: u$"}, hits: 896, want: 200, limit: 900, left: 4, window: 30 * time.Minute},
				{n: 4, ask: "GET /api/a|POST /api/b?seller=", from: "a|b|c", with: xolaCaller, want: 200, limit: 900, left: 0, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/c", from: "a|d", with: xolaCaller, want: 429, limit: 900, window: 30 * time.Minute, current: 901},
				{n: 2, ask: "GET /api/c?seller=s$", with: xolaCaller, want: 200, limit: 900, left: 898, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/c", with: []string{"X-User-Id: v$"}, want: 200, limit: 900, left: 898, window: 30 * time.Minute},
			},
		},
		{
			says: []string{"If both are not present, then we block the entire IP."},
			steps: []step{ // a seller alone is not a user: anybody can name one
				{door: "json", ask: "GET /api", hits: 896, want: 200, limit: 900, left: 4, window: 30 * time.Minute},
				{n: 4, ask: "GET /api/a|POST /api/b?seller=s$", want: 200, limit: 900, left: 0, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/c|GET /?seller=z$", want: 429, limit: 900, window: 30 * time.Minute, current: 901},
				{n: 2, ask: "GET /api/c?seller=s$", from: "b", want: 200, limit: 900, left: 898, window: 30 * time.Minute},
				{n: 2, ask: "GET /api/c", with: xolaCaller, want: 200, limit: 900, left: 898, window: 30 * time.Minute},
			},
		},
		{
			says: []string{
				"The header and the response of each API call looks like below",
				"HTTP/1.1 429 Too Many Requests\nX-RateLimit-Limit: 900\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1612197197\nRetry-After: 296",
				`{
  "message":"Too many requests, please try again later.",
  "rateLimit": {
    "limit": 900,
    "current": 905,
    "remaining": 0,
    "resetTime":"2021-02-01T16:33:17.579Z"
  },
  "retryInSeconds":296
}`,
			},
			steps: []step{ // "current" goes on: the fifth that is denied is the page's 905, whichever node and door it came to
				{door: "json", ask: "GET /api", with: []string{"user: u$", "seller: s$"}, hits: 899, want: 200, limit: 900, left: 1, window: 30 * time.Minute},
				{ask: "GET /api?seller=s$", with: xolaCaller, want: 200, limit: 900, left: 0, window: 30 * time.Minute},
				{n: 5, ask: "GET /api?seller=s$", with: xolaCaller, want: 429, limit: 900, window: 30 * time.Minute, current: 901},
				{n: 2, door: "json", ask: "GET /api", with: []string{"user: u$", "seller: s$"}, want: 429, limit: 900, window: 30 * time.Minute, current: 906},
				{n: 2, door: "msgpack", ask: "GET /api", with: []string{"user: u$", "seller: s$"}, want: 429, limit: 900, window: 30 * time.Minute, current: 908},
			},
			later: &step{n: 2, ask: "GET /api?seller=s$", with: xolaCaller, want: 429, limit: 900, window: 30 * time.Minute, current: 910},
		},
		{
			says: []string{
				"resetTime specifies the timestamp after which you may re-try",
				"retryInSeconds specifies the time to wait before re-trying",
				"After someone hits the limit, a HTTP 429 response will be returned with a message explaining that they have hit the limit and when the block will be lifted.",
			},
			also: opensAtReset,
		},
	},
	others: []aside{
		{why: "headings and ornaments", says: []string{"HomeGuidesRecipesAPI ReferenceChangelog", "GuidesAPI ReferenceCustomer Help CenterLog In", "Rate Limiting", "Calculations", "❗️", "Limits",
			"📘", "Post Limit Action", "Dos", "Donts"}},
		{why: "the provider's reasons", says: []string{
			"While Xola can automatically scale its resources to meet the demands of incoming traffic, it often has a cost in terms of money and speed. Scaling traffic costs money, and a higher load on our systems often affects other system users. The main reason to throttle requests is to protect our server resources. There are few situations in which API throttling may kick in.",
			"Some developers make haphazard API requests with little consideration for performance effects. They may perform an excessive number of API calls, using numerous server resources without doing anything significant.",
			"Integrations accidentally getting into infinity loops in production environments.",
			"Malicious bots attempting to scrape data.",
		}},
		{why: "which of their keys clients should use: the gateway's matter, which tells us the user", says: []string{
			"Always make API calls using a registered app/integration's API key", "Do not use the seller API key", "Do not use your developer API key"}},
	},
}
