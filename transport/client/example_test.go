package client_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/client"
	"github.com/stint-limiter/stint/transport/door/doortest"
	"github.com/stint-limiter/stint/transport/httpserver"
	"github.com/stint-limiter/stint/transport/native"
)

// node stands for `stint serve` on port 7070.
func node() (addr string, stop func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := httpserver.New(httpserver.Config{Routes: map[string]fasthttp.RequestHandler{
		native.Path: native.New(native.Config{Checker: doortest.New()}).Handle,
	}})
	done := make(chan error)
	go func() { done <- s.Serve(ln) }()
	return ln.Addr().String(), func() {
		_ = s.Shutdown(context.Background())
		<-done
	}
}

func Example() {
	addr, stop := node()
	defer stop()

	c, err := client.New(client.Config{
		Addrs:   []string{addr}, // all nodes, host:7070
		Timeout: 200 * time.Millisecond,
		OnError: transport.Allow, // where no node can be asked
	})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	for range 3 {
		d, err := c.Allow(context.Background(), "account:42", "2/1m", "1000/1h")
		if err != nil {
			fmt.Println("nobody could decide:", err) // and d is OnError's answer
		}
		if d.Allowed {
			fmt.Println("allowed,", d.Remaining, "left of", d.By)
		} else {
			fmt.Println("denied by", d.By)
		}
	}
	// Output:
	// allowed, 1 left of 2/1m
	// allowed, 0 left of 2/1m
	// denied by 2/1m
}

func ExampleClient_Do() {
	addr, stop := node()
	defer stop()
	c, err := client.New(client.Config{Addrs: []string{addr}})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx := context.Background()

	// A job takes five, and gives back what it did not need.
	limits := []string{"100/1h"}
	took, err := c.Do(ctx, client.Check{Key: "jobs:7", Limits: limits, Hits: 5, WantReceipt: true})
	fmt.Println(took.Allowed, took.Remaining, err)
	back, err := c.Do(ctx, client.Check{Key: "jobs:7", Limits: limits, Hits: -2, Receipt: took.Receipt})
	fmt.Println(back.Remaining, err)
	look, err := c.Do(ctx, client.Check{Key: "jobs:7", Limits: limits, Peek: true})
	fmt.Println(look.Remaining, err)
	// Output:
	// true 95 <nil>
	// 97 <nil>
	// 97 <nil>
}

func ExampleTransport() {
	asked := 0
	someAPI := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer someAPI.Close()

	api := &http.Client{Transport: &client.Transport{
		SlowDown:   0.2,                   // below a fifth of the limit, spread out what is left
		MinBackoff: 10 * time.Millisecond, // an example must not wait long
	}}
	defer api.CloseIdleConnections()
	resp, err := api.Get(someAPI.URL)
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode, "after", asked, "requests")
	// Output: 200 after 2 requests
}
