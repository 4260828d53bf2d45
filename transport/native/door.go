package native

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
	"github.com/stint-limiter/stint/transport/policy"
)

// Path is where the door is.
const Path = "/v1/check"

// Config is what a door is made from.
type Config = door.Config

// A Door answers POST /v1/check. It is made by New; its methods may be called from many goroutines.
type Door struct {
	checker  transport.Checker
	policies func() []*policy.Policy
	clock    *transport.Clock
	mode     transport.Mode
	log      *slog.Logger
	limits   *transport.LimitCache
	stats    stats
}

// New returns a door. It panics without a Checker.
func New(c Config) *Door {
	c = c.Filled()
	return &Door{
		checker: c.Checker, policies: c.Policies, clock: c.Clock, mode: c.FailureMode, log: c.Log,
		limits: transport.NewLimitCache(),
	}
}

// The answers' types, made once.
var (
	typeJSON    = []byte("application/json")
	typeMsgpack = []byte("application/msgpack")
)

// Handle answers one request. The request's body is worked in: escapes in JSON are undone in place.
func (d *Door) Handle(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		d.stats.bad.Add(1)
		door.Refuse(ctx, &transport.Problem{
			Status: fasthttp.StatusMethodNotAllowed, Check: -1,
			Detail: fmt.Sprintf("method %s on %s; send POST", door.Quote(ctx.Method()), Path),
		})
		ctx.Response.Header.Set(fasthttp.HeaderAllow, fasthttp.MethodPost)
		return
	}
	body := ctx.Request.Body()
	if len(body) > transport.MaxRequest {
		d.stats.tooLarge.Add(1)
		door.Refuse(ctx, &transport.Problem{
			Status: fasthttp.StatusRequestEntityTooLarge, Check: -1,
			Detail: fmt.Sprintf("the body is %d bytes; the most is %d: send the checks in several requests", len(body), transport.MaxRequest),
		})
		return
	}
	came := ctx.Time() // fasthttp has just looked at the clock
	if came.IsZero() {
		came = time.Now() // there is no server around it
	}
	c := d.acquire(came)
	defer c.release()
	json := isJSON(body)
	if err := c.parse(body, json); err != nil {
		d.refuse(ctx, c, err)
		return
	}
	c.decide()
	status := c.answer(json)
	r := &ctx.Response
	if status == fasthttp.StatusOK {
		d.stats.ok.Add(1)
	} else {
		d.stats.unavailable.Add(1)
		r.SetStatusCode(status)
		r.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	if json {
		r.Header.SetContentTypeBytes(typeJSON)
	} else {
		r.Header.SetContentTypeBytes(typeMsgpack)
		if k, ok := ctx.Conn().(door.Keeper); ok {
			k.Keep(&ctx.Request.Header, d)
		}
	}
	r.SetBody(c.out)
}

// Answer implements door.Direct, for requests in MessagePack that are good; bad ones are refused by Handle, which has more to say.
func (d *Door) Answer(out, body []byte, came time.Time) (answer []byte, status int) {
	if len(body) == 0 || isJSON(body) {
		return out, 0
	}
	c := d.acquire(came)
	own := c.out
	defer func() {
		c.out = own // out is the connection's
		c.release()
	}()
	if err := c.parse(body, false); err != nil {
		return out, 0
	}
	c.decide()
	c.out = out
	if status = c.answer(false); status == fasthttp.StatusOK {
		d.stats.ok.Add(1)
	} else {
		d.stats.unavailable.Add(1)
	}
	return c.out, status
}

// MediaType implements door.Direct.
func (d *Door) MediaType() string { return "application/msgpack" }

// isJSON reports whether the body is JSON: it begins with a brace, which begins no msgpack map, and neither does
// white space.
func isJSON(body []byte) bool {
	for _, b := range body {
		switch b {
		case ' ', '\t', '\n', '\r':
		default:
			return b == '{'
		}
	}
	return false
}

// parse reads the body into the call.
func (c *call) parse(body []byte, json bool) error {
	c.policies = c.door.policies()
	if json {
		c.json.reset(body)
		return c.read(&c.json)
	}
	if len(body) == 0 {
		return errors.New(`the body is empty; send {"checks":[{"key":"…","limits":["100/1m"]}]} or the same in msgpack`)
	}
	if t := body[0]; t&0xf0 != 0x80 && t != 0xde && t != 0xdf {
		return errors.New("the body is neither a JSON object nor a msgpack map; if it is compressed, send it plain")
	}
	c.mp.reset(body)
	return c.read(&c.mp)
}

// refuse answers a request that is bad, about the check that was being read.
func (d *Door) refuse(ctx *fasthttp.RequestCtx, c *call, err error) {
	p := &transport.Problem{Status: fasthttp.StatusBadRequest, Detail: err.Error(), Check: c.at}
	if errors.Is(err, errTooMany) {
		p.Status = fasthttp.StatusRequestEntityTooLarge
		d.stats.tooLarge.Add(1)
	} else {
		d.stats.bad.Add(1)
	}
	door.Refuse(ctx, p)
}
