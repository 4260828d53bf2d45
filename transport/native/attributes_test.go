package native

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
	"github.com/stint-limiter/stint/transport/policy"
)

// The policy of these tests: a login is counted by token (or address) and by e-mail, everything by token (or
// address), health not at all.
const shop = `
name: shop
attributes:
  token: { bearer: Authorization }
  email: { json: email, lower: true }
key: [token, ip]
rules:
  all:
    match: [/assets, /login]
    limits: 5/1m
  login:
    match: POST /login
    key: [email, ip]
    limits: 2/1h
  watch:
    match: /assets
    limits: 1/1d
    shadow: true
headers:
  X-Limit: ${limit}
  X-Left: ${remaining}
denied:
  body: '{"error":"slow down","rule":"${rule}"}'
`

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, problems := policy.Parse("test.yaml", []byte(text))
	if p == nil {
		t.Fatal(problems)
	}
	return p
}

func set(policies ...*policy.Policy) func() []*policy.Policy {
	return func() []*policy.Policy { return policies }
}

func TestAttributesGolden(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(parse(t, shop))})
	answered(t, d, `{"checks":[{"attributes":{"method":"GET","path":"/assets?x=1","ip":"192.0.2.1","token":"t"}}]}`, 200,
		`{"decisions":[{"allowed":true,"limit":5,"remaining":4,"reset_ms":59000,"retry_ms":0,"by":"5/1m","via":"holder","rule":"all","current":1}]}`)

	// The shadow rule would deny the second. Hits are the check's.
	answered(t, d, `{"checks":[{"attributes":{"method":"GET","path":"/assets","ip":"192.0.2.1","token":"t"},"hits":2}]}`, 200,
		`{"decisions":[{"allowed":true,"limit":5,"remaining":2,"reset_ms":59000,"retry_ms":0,"by":"5/1m","via":"holder","rule":"all","current":3,"shadow":["watch"]}]}`)

	// What the policy would send, allowed and denied.
	answered(t, d, `{"checks":[{"attributes":{"method":"GET","path":"/assets","ip":"192.0.2.2"},"policy":"shop","render":true},{"attributes":{"method":"GET","path":"/assets","ip":"192.0.2.2"},"hits":5,"render":true}]}`, 200,
		`{"decisions":[`+
			`{"allowed":true,"limit":5,"remaining":4,"reset_ms":59000,"retry_ms":0,"by":"5/1m","via":"holder","rule":"all","current":1,"status":200,"headers":{"X-Limit":"5","X-Left":"4"}},`+
			`{"allowed":false,"limit":5,"remaining":4,"reset_ms":59000,"retry_ms":59000,"by":"5/1m","via":"holder","rule":"all","current":1,"shadow":["watch"],"status":429,"headers":{"X-Limit":"5","X-Left":"4","Retry-After":"59","Content-Type":"application/json"},"body":"{\"error\":\"slow down\",\"rule\":\"all\"}"}]}`)

	// Nothing matches.
	answered(t, d, `{"checks":[{"attributes":{"method":"GET","path":"/health","ip":"192.0.2.1"}}]}`, 200, `{"decisions":[{"allowed":true}]}`)
	answered(t, d, `{"checks":[{"attributes":{"method":"GET","path":"/health"},"render":true}]}`, 200, `{"decisions":[{"allowed":true,"status":200,"headers":{}}]}`)

	// The token is secret: no key has it in clear.
	for _, batch := range c.Batches {
		for _, k := range batch {
			if strings.Contains(string(k.Key), `"t"`) {
				t.Errorf("key %s tells the token", k.Key)
			}
		}
	}
}

func TestAttributesSecretAndLower(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(parse(t, shop))})
	post(t, d, `{"checks":[{"attributes":{"method":"POST","path":"/login","ip":"192.0.2.1","email":" Bob@Example.com "}}]}`)
	post(t, d, `{"checks":[{"attributes":{"method":"POST","path":"/login","ip":"192.0.2.1","email":"bob@example.com"}}]}`)
	a, b := asked(t, c, 0), asked(t, c, 1)
	if len(a) != 2 || len(b) != 2 || string(a[1].Key) != string(b[1].Key) || !strings.Contains(string(a[1].Key), "bob@example.com") {
		t.Errorf("keys %s and %s", a[len(a)-1].Key, b[len(b)-1].Key)
	}
}

func TestPick(t *testing.T) {
	one, two := parse(t, shop), parse(t, strings.Replace(shop, "name: shop", "name: bar", 1))
	asset := func(name string) string {
		return `{"checks":[{"attributes":{"method":"GET","path":"/assets","ip":"192.0.2.1"}` + name + `}]}`
	}
	d := New(Config{Checker: doortest.New()})
	refused(t, d, asset(""), 400, 0, "no policy is loaded; start the server with --policy FILE")
	d = New(Config{Checker: doortest.New(), Policies: set(one)})
	refused(t, d, asset(`,"policy":"bar"`), 400, 0, `no policy is called "bar"; loaded: shop`)
	if r := post(t, d, asset("")); r.StatusCode() != 200 {
		t.Errorf("%s", r.Body())
	}
	d = New(Config{Checker: doortest.New(), Policies: set(one, two)})
	refused(t, d, asset(""), 400, 0, "several policies are loaded, so policy must name one of: shop, bar")
	if r := post(t, d, asset(`,"policy":"bar"`)); r.StatusCode() != 200 {
		t.Errorf("%s", r.Body())
	}
}

// A bad check at the end: those before it, planned already, are not decided.
func TestAttributesAllOrNothing(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(parse(t, shop))})
	refused(t, d, `{"checks":[{"attributes":{"method":"POST","path":"login","ip":"192.0.2.1"}}]}`, 400, 0, `path is "login"; it starts with a /`)
	refused(t, d, `{"checks":[{"attributes":{"method":"POST","path":"/login","ip":"192.0.2.1","email":"e"}},`+good+`,{"key":""}]}`, 400, 2, "limits is missing")
	if len(c.Batches) != 0 {
		t.Errorf("asked for %v", c.Batches)
	}
}

func login(token, email string) string {
	return fmt.Sprintf(`{"attributes":{"method":"POST","path":"/login","ip":"192.0.2.1","token":%q,"email":%q}}`, token, email)
}

func asset(token string) string {
	return fmt.Sprintf(`{"attributes":{"method":"GET","path":"/assets","ip":"192.0.2.1","token":%q}}`, token)
}

func request(items ...string) string { return `{"checks":[` + strings.Join(items, ",") + `]}` }

// One key denies: what the other took goes back, to the slot it came from, in one batch for the whole request.
func TestGivenBack(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(parse(t, shop))})
	post(t, d, request(login("t0", "e"), login("t1", "e"), login("t2", "f")))
	c.Batches = nil
	// e has no room left; t3, t4 and t5 have. Three items whose keys do not meet.
	r := post(t, d, request(login("t3", "e"), login("t4", "f"), login("t5", "g")))
	if want := `{"decisions":[{"allowed":false,"limit":2,"remaining":0,"reset_ms":59000,"retry_ms":59000,"by":"2/1h","via":"holder","rule":"login","current":2},{"allowed":true,`; !strings.HasPrefix(string(r.Body()), want) {
		t.Errorf("got  %s\nwant %s…", r.Body(), want)
	}
	if len(c.Batches) != 2 || len(c.Batches[0]) != 6 || len(c.Batches[1]) != 1 {
		t.Fatalf("asked for %v", c.Batches)
	}
	took, back := c.Batches[0][0], c.Batches[1][0]
	if string(back.Key) != string(took.Key) || back.Hits != -1 || back.Receipt != 0xbeef {
		t.Errorf("took %+v\ngave back %+v", took, back)
	}
	for at, n := range c.Spent {
		if at.Key == string(took.Key) && n != 0 {
			t.Errorf("%s still has %d", at.Key, n)
		}
	}
}

// A check that shares a key with an earlier several-key item waits until that one is settled.
func TestRounds(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(parse(t, shop))})
	post(t, d, request(login("x", "e"), login("y", "e"))) // e is spent; the second round is e's
	if len(c.Batches) != 2 {
		t.Fatalf("two items on one e-mail took %d batches", len(c.Batches))
	}
	c.Batches = nil
	// Four logins of t are denied by e and hold nothing, so all five of t's hits are there for the assets.
	post(t, d, request(login("t", "e"), login("t", "e"), login("t", "e"), login("t", "e")))
	r := post(t, d, request(login("t", "e"), asset("t"), asset("t"), asset("t"), asset("t"), asset("t"), asset("t")))
	if n := strings.Count(string(r.Body()), `"allowed":true`); n != 5 {
		t.Errorf("%d assets allowed, not 5: %s", n, r.Body())
	}
}

// The law of a batch: its items are decided as if they had come one by one.
func TestBatchIsOneByOne(t *testing.T) {
	p := parse(t, shop)
	rnd := rand.New(rand.NewPCG(3, 4))
	rounds := 0
	for range 300 {
		whole, single := doortest.New(), doortest.New()
		batch := New(Config{Checker: whole, Policies: set(p)})
		each := New(Config{Checker: single, Policies: set(p)})
		for range 3 {
			var items []string
			for range 1 + rnd.IntN(12) {
				token, email := string('a'+rune(rnd.IntN(3))), string('e'+rune(rnd.IntN(3)))
				hits := fmt.Sprintf(`,"hits":%d}`, rnd.IntN(4)-1)
				switch rnd.IntN(4) {
				case 0:
					items = append(items, strings.TrimSuffix(asset(token), "}")+hits)
				case 1:
					items = append(items, `{"key":"`+token+`","limits":["3/1m"]`+hits)
				default:
					items = append(items, strings.TrimSuffix(login(token, email), "}")+hits)
				}
			}
			var got, want struct{ Decisions []json.RawMessage }
			if err := json.Unmarshal(post(t, batch, request(items...)).Body(), &got); err != nil {
				t.Fatal(err)
			}
			for i, item := range items {
				if err := json.Unmarshal(post(t, each, request(item)).Body(), &want); err != nil {
					t.Fatal(err)
				}
				if string(got.Decisions[i]) != string(want.Decisions[0]) {
					t.Fatalf("%s\nitem %d %s\ntogether %s\nalone    %s", request(items...), i, item, got.Decisions[i], want.Decisions[0])
				}
			}
		}
		rounds += len(whole.Batches)
		if len(whole.Batches) > len(single.Batches) {
			t.Errorf("%d batches for what takes %d one by one", len(whole.Batches), len(single.Batches))
		}
	}
	if rounds == 0 {
		t.Error("nothing was decided")
	}
}

// Several keys, and nobody to decide one of them.
func TestAttributesUndecided(t *testing.T) {
	c := doortest.New()
	p := parse(t, strings.Replace(shop, "headers:", "failure_mode: deny\nheaders:", 1))
	d := New(Config{Checker: c, Policies: set(p)})
	c.Answer = func(k *transport.Check, d *transport.Decision) {
		if k.Unavailable != transport.Deny {
			t.Errorf("check %s has mode %v", k.Key, k.Unavailable)
		}
		doortest.Nobody(k.Unavailable.Allows())(k, d)
	}
	r := post(t, d, `{"checks":[{"attributes":{"method":"POST","path":"/login","ip":"192.0.2.1","email":"e"},"render":true}]}`)
	if want := `{"decisions":[{"allowed":false,"via":"unavailable","status":503,"headers":{`; r.StatusCode() != 503 || !strings.HasPrefix(string(r.Body()), want) || !strings.Contains(string(r.Body()), `"Retry-After":"1"`) {
		t.Errorf("%d %s", r.StatusCode(), r.Body())
	}
}

// A policy that cannot be applied in full: failure_mode, and where that allows, what can be applied.
func TestUnplanned(t *testing.T) {
	var text strings.Builder
	text.WriteString("name: many\nattributes:\n")
	for i := range 5 {
		fmt.Fprintf(&text, "  a%d: { header: X-A%d }\n", i, i)
	}
	text.WriteString("rules:\n")
	for i := range 5 {
		fmt.Fprintf(&text, "  r%d: { match: /x, key: [a%d], limits: %d/1m }\n", i, i, i+1)
	}
	p := parse(t, text.String())
	body := `{"checks":[{"attributes":{"path":"/x","a0":"0","a1":"1","a2":"2","a3":"3","a4":"4"},"render":true}]}`
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(p), FailureMode: transport.Deny})
	answered(t, d, body, 503, `{"decisions":[{"allowed":false,"via":"unavailable","status":503,"headers":{}}]}`)
	if len(c.Batches) != 0 {
		t.Error("asked")
	}
	d = New(Config{Checker: c, Policies: set(p)})
	for _, want := range []string{`"allowed":true`, `"allowed":false`} { // r0 has room for one
		if r := post(t, d, body); !strings.Contains(string(r.Body()), want) {
			t.Errorf("%s", r.Body())
		}
	}
	if n := d.Stats().Unplanned; n != 2 {
		t.Errorf("counted %d", n)
	}
}

// Policies are swapped while requests are under way, and each request sees one set.
func TestPoliciesSwapped(t *testing.T) {
	one, two := parse(t, shop), parse(t, strings.Replace(shop, "5/1m", "500/1m", 1))
	var now atomic.Pointer[policy.Policy]
	now.Store(one)
	c := doortest.New()
	c.Forget = true
	d := New(Config{Checker: c, Policies: func() []*policy.Policy { return []*policy.Policy{now.Load()} }})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				r := post(t, d, request(asset(fmt.Sprint(g, i)), login(fmt.Sprint(g, i), fmt.Sprint(g, i))))
				var got struct{ Decisions []struct{ Allowed bool } }
				if err := json.Unmarshal(r.Body(), &got); err != nil || len(got.Decisions) != 2 || !got.Decisions[0].Allowed || !got.Decisions[1].Allowed {
					t.Errorf("%d %s", r.StatusCode(), r.Body())
					return
				}
				now.Store([]*policy.Policy{one, two}[i%2])
			}
		})
	}
	wg.Wait()
}
