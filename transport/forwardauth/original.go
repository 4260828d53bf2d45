package forwardauth

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport/door"
	"github.com/stint-limiter/stint/transport/policy"
)

// What the proxy's client asked for, as the proxy tells it.

// original fills in the request that the proxy asks about.
func original(ctx *fasthttp.RequestCtx, r *policy.Request) error {
	h := &ctx.Request.Header
	var err error
	if r.Method, err = told(h, "X-Forwarded-Method", "X-Original-Method"); err != nil {
		return err
	}
	if r.URI, err = told(h, "X-Forwarded-Uri", "X-Original-URI"); err != nil {
		return err
	}
	if r.Host, err = either(h, "X-Forwarded-Host", "X-Original-Host"); err != nil {
		return err
	}
	if r.Host == "" {
		r.Host = string(h.Host())
	}
	r.Header = func(name string) []string {
		all := h.PeekAll(name)
		if len(all) == 0 {
			return nil
		}
		values := make([]string, len(all))
		for i, v := range all {
			values[i] = string(v)
		}
		return values
	}
	if body := ctx.Request.Body(); len(body) > 0 {
		r.Body = body[:min(len(body), policy.MaxBody+1)]
	}
	r.Peer = door.Peer(ctx)
	return nil
}

// told returns what one of two headers says, one of which must be there.
func told(h *fasthttp.RequestHeader, forwarded, orig string) (string, error) {
	v, err := either(h, forwarded, orig)
	if err == nil && v == "" {
		err = fmt.Errorf("neither %s nor %s is there; the proxy must send one of them", forwarded, orig)
	}
	return v, err
}

// either returns what one of two headers says, which may both be there only if they agree: one of them is the proxy's
// and nobody but the proxy's operator knows which.
func either(h *fasthttp.RequestHeader, forwarded, orig string) (string, error) {
	f, err := once(h, forwarded)
	if err != nil {
		return "", err
	}
	o, err := once(h, orig)
	if err != nil {
		return "", err
	}
	switch {
	case f == "":
		return o, nil
	case o == "" || o == f:
		return f, nil
	}
	return "", fmt.Errorf("%s and %s differ; the proxy must set one and strip the other", forwarded, orig)
}

// once returns the value of a header that may come several times only with one value.
func once(h *fasthttp.RequestHeader, name string) (string, error) {
	all := h.PeekAll(name)
	if len(all) == 0 {
		return "", nil
	}
	for _, v := range all[1:] {
		if string(v) != string(all[0]) {
			return "", fmt.Errorf("%s is there twice with different values; the proxy must set it, not add to it", name)
		}
	}
	return string(all[0]), nil
}
