package policy

import (
	"strings"
	"testing"
	"time"
)

// The four providers' pages, sentence by sentence: what each says about the server is a case here. The same table against
// a running binary is in cmd/stint.

const bearer = "Authorization: Bearer abc"

func TestSeedWeb3Market(t *testing.T) {
	p := example(t, "web3market")
	body := "{\n  \"success\": false,\n  \"error\": \"rate_limit_exceeded\",\n  \"message\": \"Too many requests. Please try again later.\"\n}\n"
	for _, c := range []struct {
		sentence, request string
		limit             int
	}{
		{"/activate POST 30 requests/minute", "POST /activate", 30},
		{"/verify GET 120 requests/minute", "GET /verify", 120},
		{"/deactivate POST 30 requests/minute", "POST /deactivate", 30},
		{"/status GET 60 requests/minute", "GET /status", 60},
	} {
		s := newSession(t, p)
		r := ask(t, c.request)
		first := s.send(1, r)
		if headerOf(first, "X-RateLimit-Limit") != itoa(c.limit) || headerOf(first, "X-RateLimit-Remaining") != itoa(c.limit-1) {
			t.Errorf("%s: %s", c.sentence, httpText(first))
		}
		if headerOf(first, "Retry-After") != "-" || headerOf(first, "X-RateLimit-Reset") != "-" || len(first.Headers) != 2 || first.Body != nil {
			t.Errorf("Retry-After: Included only on 429 responses: %s", httpText(first))
		}
		s.wait(26 * time.Second)
		a := s.admits(c.limit-1, r)
		if a.Status != 429 || headerOf(a, "X-RateLimit-Limit") != itoa(c.limit) || headerOf(a, "X-RateLimit-Remaining") != "0" || headerOf(a, "Content-Type") != "application/json" {
			t.Errorf("HTTP/1.1 429 Too Many Requests, X-RateLimit-Remaining: 0, Content-Type: application/json: %s", httpText(a))
		}
		if string(a.Body) != body {
			t.Errorf("the body is\n%s", a.Body)
		}
		// "The Retry-After header tells you how many seconds to wait": 34, or a slot more.
		n := atoi(t, headerOf(a, "Retry-After"))
		if n < 34 || n > 42 {
			t.Errorf("Retry-After is %d, 26 s after the first", n)
		}
		s.wait(time.Duration(n)*time.Second - time.Second)
		if s.send(1, r).Allowed && n == 34 {
			t.Error("Retry-After is late")
		}
		s.wait(time.Second)
		if !s.send(1, r).Allowed {
			t.Error("Retry-After is early")
		}
	}

	// "the combined request rate across all dApps must stay within the limit", "applied per IP address"
	s := newSession(t, p)
	for i := range 120 {
		s.send(1, ask(t, "GET /verify?license_key=k&domain=d"+itoa(i), "Origin: https://dapp"+itoa(i), bearer))
	}
	if s.send(1, ask(t, "GET /verify")).Allowed || !s.send(1, ask(t, "GET /verify", "from 192.0.2.2")).Allowed {
		t.Error("all dApps behind one address share it, and another address has its own")
	}
	if !s.send(1, ask(t, "GET /status")).Allowed {
		t.Error("the limits are per endpoint")
	}
	// "on a rolling window basis": no minute has 121, wherever it begins.
	s = newSession(t, p)
	s.wait(59 * time.Second)
	s.admits(120, ask(t, "GET /verify"))
	s.wait(2 * time.Second)
	if s.send(1, ask(t, "GET /verify")).Allowed {
		t.Error("a new calendar minute began afresh")
	}
}

func TestSeedXola(t *testing.T) {
	p := example(t, "xola")
	// "The rate limits are calculated based on user and seller information": "the below comparison order"
	for _, c := range []struct {
		sentence string
		r        *Request
		key      string
	}{
		{"User ID and Seller ID (if present)", ask(t, "GET /api/x?seller=7", "X-User-Id: 42"), "user=42,seller=7"},
		{"If Seller ID is not present, then only User ID is used.", ask(t, "POST /api/y", "X-User-Id: 42"), "user=42"},
		{"If both are not present, then we block the entire IP.", ask(t, "GET /"), "ip=192.0.2.1"},
		{"(a seller alone is not a user)", ask(t, "GET /?seller=7"), "ip=192.0.2.1"},
	} {
		wantPlan(t, p, c.r, c.key+": api 900/30m")
	}
	// "900 requests in an 30 minute window", "block the combination of that API call"
	s := newSession(t, p)
	r := ask(t, "GET /x?seller=7", "X-User-Id: 42")
	a := s.admits(900, r)
	if !s.send(1, ask(t, "GET /x?seller=8", "X-User-Id: 42")).Allowed || !s.send(1, ask(t, "GET /x", "X-User-Id: 42")).Allowed {
		t.Error("another combination is blocked")
	}
	// "The header and the response of each API call": X-RateLimit-Limit: 900 … 0 … Reset, Retry-After
	if a.Status != 429 || headerOf(a, "X-RateLimit-Limit") != "900" || headerOf(a, "X-RateLimit-Remaining") != "0" {
		t.Errorf("%s", httpText(a))
	}
	// "current": 905
	for range 4 {
		a = s.send(1, r)
	}
	if !strings.Contains(string(a.Body), `"current": 905,`) || !strings.Contains(string(a.Body), `"limit": 900,`) || !strings.Contains(string(a.Body), `"remaining": 0,`) {
		t.Errorf("the fifth denial: %s", a.Body)
	}
	// "on every API call"
	ok := newSession(t, p).send(1, r)
	for _, h := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if headerOf(ok, h) == "-" {
			t.Errorf("an allowed call has no %s", h)
		}
	}
	// The sample: 296 seconds before 16:33:17.579Z. Its page rounds the Unix second down; no form of ours is ever early.
	now := t0.Add(579 * time.Millisecond)
	d := deniedBy(0, 900, 296*time.Second)
	d.Current = 905
	want := `HTTP/1.1 429 Too Many Requests
X-RateLimit-Limit: 900
X-RateLimit-Remaining: 0
X-RateLimit-Reset: 1612197198
Retry-After: 296
Content-Type: application/json

{
  "message": "Too many requests, please try again later.",
  "rateLimit": {
    "limit": 900,
    "current": 905,
    "remaining": 0,
    "resetTime": "2021-02-01T16:33:18.000Z"
  },
  "retryInSeconds": 296
}
`
	if got := render1(t, p, r, now, d); got != want {
		t.Errorf("the sample:\n%s", got)
	}
}

func TestSeedIPTO(t *testing.T) {
	p := example(t, "ipto")
	global := "global 100/1m, global 1000/1h, global 10000/1d"
	token, email, link := "token="+hashOf("", "abc"), "email="+hashOf("", "a@b.c"), "magic_link="+hashOf("", "L1")
	for _, c := range []struct {
		sentence, request string
		want              string
	}{
		{"Requests per minute 100 60 seconds; per hour 1000 3600 seconds; per day 10000 86400 seconds", "GET /anything", token + ": " + global},
		{"Magic link requests 3 1 hour per email", "POST /auth/login", token + ": " + global + "; " + email + ": magic-link 3/1h"},
		{"Token verification 5 Per magic link", "GET /auth/verify?token=L1", token + ": " + global + "; " + link + ": verify-token 5/15m"},
		{"Token refresh 10 1 hour per token", "POST /auth/refresh", token + ": " + global + ", refresh-token 10/1h"},
		{"Asset creation 10 1 hour", "POST /assets", token + ": " + global + ", asset-create 10/1h"},
		{"Asset listing 100 1 minute", "GET /assets", token + ": " + global + ", asset-list 100/1m"},
		{"Asset updates 20 1 hour", "PUT /assets/7", token + ": " + global + ", asset-update 20/1h"},
		{"Asset updates 20 1 hour", "PATCH /assets/7", token + ": " + global + ", asset-update 20/1h"},
		{"License creation 5 1 hour", "POST /microip", token + ": " + global + ", license-create 5/1h"},
		{"Asset downloads 20 1 hour", "GET /microip/7/download", token + ": " + global + ", asset-download 20/1h"},
		{"Search requests 50 1 minute", "GET /search?q=x", token + ": " + global + ", search 50/1m"},
		{"Deposits 10 1 hour", "POST /balance/deposit", token + ": " + global + ", deposit 10/1h"},
		{"Withdrawals 5 1 hour", "POST /balance/withdraw", token + ": " + global + ", withdraw 5/1h"},
		{"Balance checks 100 1 minute", "GET /balance", token + ": " + global + ", balance 100/1m"},
		{"Wallet addition 5 1 hour", "POST /wallet/btc", token + ": " + global + ", wallet-add 5/1h"},
		{"Wallet verification 10 1 hour", "POST /wallet/btc/addr/verify", token + ": " + global + ", wallet-verify 10/1h"},
		{"Wallet listing 50 1 minute", "GET /wallet", token + ": " + global + ", wallet-list 50/1m"},
		{"Wallet listing 50 1 minute", "GET /wallet/btc", token + ": " + global + ", wallet-list 50/1m"},
	} {
		wantPlan(t, p, ask(t, c.request, bearer, `body {"email":"A@b.c"}`), c.want)
	}
	wantPlan(t, p, ask(t, "GET /assets"), "ip=192.0.2.1: "+global+", asset-list 100/1m")

	// "All API responses include rate limit information in the headers": Limit, Remaining, Reset
	s := newSession(t, p)
	a := s.send(1, ask(t, "GET /search", bearer))
	if headerOf(a, "X-RateLimit-Limit") != "50" || headerOf(a, "X-RateLimit-Remaining") != "49" || headerOf(a, "X-RateLimit-Reset") != "1612196961" || len(a.Headers) != 3 {
		t.Errorf("%s", httpText(a))
	}
	// "When you exceed a rate limit, you'll receive a 429 Too Many Requests response": detail and retry_after
	s = newSession(t, p)
	a = s.admits(5, ask(t, "POST /balance/withdraw", bearer))
	n := headerOf(a, "Retry-After")
	if a.Status != 429 || string(a.Body) != "{\n  \"detail\": \"Rate limit exceeded\",\n  \"retry_after\": "+n+"\n}\n" || n != "3600" || headerOf(a, "Content-Type") != "application/json" {
		t.Errorf("%s", httpText(a))
	}
	// Three links an hour per e-mail, whoever asks; and a denied one costs the token nothing.
	s = newSession(t, p)
	for i := range 3 {
		s.send(1, ask(t, "POST /auth/login", "from 192.0.2."+itoa(i+1), `body {"email":"a@b.c"}`))
	}
	if a := s.send(1, ask(t, "POST /auth/login", "from 192.0.2.9", `body {"email":" A@B.C "}`)); a.Allowed || a.Rule != "magic-link" {
		t.Errorf("the fourth link: %s", httpText(a))
	}
	if a := s.send(1, ask(t, "GET /other", "from 192.0.2.9")); headerOf(a, "X-RateLimit-Remaining") != "99" {
		t.Errorf("the denied login spent a hit of the address: %s", httpText(a))
	}
}

func TestSeedLicenseAPI(t *testing.T) {
	p := example(t, "license-api")
	token := "token=" + hashOf("", "abc")
	for _, c := range []struct {
		sentence string
		r        *Request
		want     string
	}{
		{"Limits are applied per source IP address", ask(t, "GET /x"), "ip=192.0.2.1: per-ip 300/1m"},
		{"Each API access token has its own rate limit allocation", ask(t, "GET /x", bearer), "ip=192.0.2.1: per-ip 300/1m; " + token + ": per-token 600/1m"},
		{"Critical endpoints like license validation have additional protective limits.", ask(t, "POST /license-keys/validate", bearer),
			"ip=192.0.2.1: per-ip 300/1m, validate 60/1m; " + token + ": per-token 600/1m"},
		{"License Key validation and activation have additional protective limits", ask(t, "POST /license-keys/activate"), "ip=192.0.2.1: per-ip 300/1m, activate 10/1m"},
	} {
		wantPlan(t, p, c.r, c.want)
	}
	// "Monitor Rate Limit Headers"; "you receive a 429"; "The message may vary depending on the endpoint"
	s := newSession(t, p)
	a := s.admits(10, ask(t, "POST /license-keys/activate", bearer))
	if a.Status != 429 || headerOf(a, "Retry-After") != "60" || headerOf(a, "X-RateLimit-Limit") != "10" || headerOf(a, "X-RateLimit-Remaining") != "0" ||
		string(a.Body) != `{ "message": "Too many activation attempts. Please try again later.", "code": 3 }`+"\n" {
		t.Errorf("%s", httpText(a))
	}
	s = newSession(t, p)
	a = s.admits(300, ask(t, "GET /x"))
	if string(a.Body) != `{ "message": "Too many requests. Please try again later.", "code": 3 }`+"\n" || headerOf(a, "Content-Type") != "application/json" {
		t.Errorf("%s", httpText(a))
	}
	// A token's allocation is its own, from however many addresses.
	s = newSession(t, p)
	for i := range 600 {
		s.send(1, ask(t, "GET /x", bearer, "from 10.0.0.1", "X-Forwarded-For: 198.51.100."+itoa(i%200)))
	}
	if a := s.send(1, ask(t, "GET /x", bearer, "from 203.0.113.1")); a.Allowed || a.Rule != "per-token" {
		t.Errorf("the 601st by one token: %s", httpText(a))
	}
	if !s.send(1, ask(t, "GET /x", "Authorization: Bearer other", "from 203.0.113.1")).Allowed {
		t.Error("another token is denied")
	}
}
