package native

import (
	"testing"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
	"github.com/stint-limiter/stint/transport/policy"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own, which outlive a server; only benchmarks start one here (see httpserver's tests).
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// asked returns the checks of the i-th batch that was asked for.
func asked(t testing.TB, c *doortest.Counter, i int) []transport.Check {
	t.Helper()
	if i >= len(c.Batches) {
		t.Fatalf("asked %d times, not %d", len(c.Batches), i+1)
	}
	return c.Batches[i]
}

// post sends a body to the door and returns its answer.
func post(t testing.TB, d *Door, body string) *fasthttp.Response {
	t.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.Header.SetContentType("application/x-www-form-urlencoded") // what curl -d says
	ctx.Request.SetBodyString(body)
	d.Handle(&ctx)
	return &ctx.Response
}

// answered sends a body and expects this status, type and body.
func answered(t testing.TB, d *Door, body string, status int, want string) {
	t.Helper()
	r := post(t, d, body)
	if r.StatusCode() != status || string(r.Body()) != want {
		t.Errorf("%s\ngot  %d %s\nwant %d %s", body, r.StatusCode(), r.Body(), status, want)
	}
}

func header(name, value string) policy.Header { return policy.Header{Name: name, Value: value} }
