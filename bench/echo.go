package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/vmihailenco/msgpack/v5"
)

// echoRequest is what a plain program would write to read a check. Decoding it by reflection is the point: it is the floor
// that anyone gets who puts these two libraries together.
//
// The decoder allocates what a length on the wire claims, so this is not a server for anything but loopback.
type echoRequest struct {
	Checks []struct {
		Key    string   `msgpack:"key"`
		Limits []string `msgpack:"limits"`
		Hits   int64    `msgpack:"hits"`
	} `msgpack:"checks"`
	TimeoutMS int64 `msgpack:"timeout_ms"`
}

// echoDecision is as long as one of Stint's, so that the generator and the kernel have the same work with it.
var echoDecision = encodeDecision()

func encodeDecision() []byte {
	b, err := msgpack.Marshal(&struct {
		Allowed   bool   `msgpack:"allowed"`
		Limit     uint32 `msgpack:"limit"`
		Remaining uint32 `msgpack:"remaining"`
		ResetMS   uint32 `msgpack:"reset_ms"`
		RetryMS   uint8  `msgpack:"retry_ms"`
		By        string `msgpack:"by"`
		Via       string `msgpack:"via"`
	}{true, 100_000, 99_999, 3_599_000, 0, "100000/1h", "holder"})
	if err != nil {
		panic(err) // a struct of plain fields
	}
	return b
}

// echo answers every check of the request with the same decision.
func echo(ctx *fasthttp.RequestCtx) {
	var r echoRequest
	if err := msgpack.Unmarshal(ctx.PostBody(), &r); err != nil || len(r.Checks) == 0 {
		ctx.Error("not a request for checks", fasthttp.StatusBadRequest)
		return
	}
	ctx.SetContentType("application/msgpack")
	b := ctx.Response.Body()[:0]
	b = append(b, 0x81, 0xa9)
	b = append(b, "decisions"...)
	b = append(b, 0xdc)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Checks)))
	for range r.Checks {
		b = append(b, echoDecision...)
	}
	ctx.Response.SetBodyRaw(b)
}

func newEcho() *fasthttp.Server {
	return &fasthttp.Server{Handler: echo, MaxRequestBodySize: 1 << 20, NoDefaultServerHeader: true, IdleTimeout: time.Minute}
}

func echoWord(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("echo", flag.ContinueOnError)
	addr := f.String("addr", "127.0.0.1:7060", "listen at this loopback address")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if host, _, err := net.SplitHostPort(*addr); err != nil || !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("listen at %s: the echo trusts what it is sent, so it takes a loopback address such as 127.0.0.1:7060; %w", *addr, errUsage)
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", *addr, err)
	}
	fmt.Fprintln(os.Stderr, "echo listens at", *addr)
	s := newEcho()
	defer context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.ShutdownWithContext(ctx)
	})()
	if err := s.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve at %s: %w", *addr, err)
	}
	return nil
}
