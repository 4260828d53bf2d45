package peer

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
)

func TestAMACFitsOneMessageOnly(t *testing.T) {
	a, b := NewAuth([]byte("secret")), NewAuth([]byte("Secret"))
	frame, mac := []byte("a frame"), make([]byte, macSize)
	a.sign(batchAsk, nil, frame, mac)
	if !a.check(batchAsk, nil, frame, mac) {
		t.Fatal("its own MAC")
	}
	if !NewAuth([]byte("secret")).check(batchAsk, nil, frame, mac) {
		t.Fatal("the MAC of the same secret")
	}
	for what, ok := range map[string]bool{
		"another secret":          b.check(batchAsk, nil, frame, mac),
		"the other direction":     a.check(batchAnswer, nil, frame, mac),
		"the other path":          a.check(controlAsk, nil, frame, mac),
		"another frame":           a.check(batchAsk, nil, []byte("a Frame"), mac),
		"a shorter MAC":           a.check(batchAsk, nil, frame, mac[:15]),
		"no MAC":                  a.check(batchAsk, nil, frame, nil),
		"an answer to another":    a.check(batchAsk, mac, frame, mac),
		"a MAC of zeros":          a.check(batchAsk, nil, frame, make([]byte, macSize)),
		"bytes moved between two": a.check(batchAsk, []byte("a "), []byte("frame"), mac[:8]),
	} {
		if ok {
			t.Errorf("%s is accepted", what)
		}
	}
	if NewAuth(nil) != nil {
		t.Error("an empty secret is a secret")
	}
}

func TestWithoutTheSecretNothingIsDecided(t *testing.T) {
	secret, other := NewAuth([]byte("secret")), NewAuth([]byte("other"))
	for _, x := range []struct {
		what         string
		pipe, server *Auth
		decided      bool
	}{
		{"same", secret, secret, true},
		{"none", nil, nil, true},
		{"other", other, secret, false},
		{"pipe has none", nil, secret, false},
		{"server has none", secret, nil, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newCounters()
			p := newPair(t, d, func(pc *PipeConfig, sc *ServerConfig) { pc.Auth, sc.Auth = x.pipe, x.server })
			defer p.close()
			a := ask(t, p.pipe, 7, 1, 10)
			_, err := p.pipe.Hello(context.Background())
			if ok := a.Code == Decided && err == nil; ok != x.decided {
				t.Errorf("%s: code %d, hello: %v", x.what, a.Code, err)
			}
			if n := d.total(7); (n == 1) != x.decided {
				t.Errorf("%s: %d spent", x.what, n)
			}
			if n := p.server.Stats().Unauthenticated.Load() + p.server.Stats().Bad.Load(); (n == 0) != x.decided {
				t.Errorf("%s: %d counted", x.what, n)
			}
		})
	}
}

// tamper flips one bit of what comes back, far behind the HTTP head.
type tamper struct {
	net.Conn
	at int
}

func (c *tamper) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.at < n && c.at >= 0 {
		b[c.at] ^= 1
	}
	c.at -= n
	return n, err
}

func TestAChangedAnswerIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, func(pc *PipeConfig, sc *ServerConfig) { pc.Auth, sc.Auth = NewAuth([]byte("s")), NewAuth([]byte("s")) })
		defer x.close()
		x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
			if dial == 1 {
				return &tamper{c, 130}, nil
			}
			return c, nil
		})
		a := ask(t, x.pipe, 7, 1, 10)
		if a.Code != Decided || a.Outcome.Remaining != 9 || x.pipe.Stats().Retries.Load() != 1 || d.total(7) != 1 {
			t.Errorf("%+v, %d retries, %d spent", a, x.pipe.Stats().Retries.Load(), d.total(7))
		}
	})
}
