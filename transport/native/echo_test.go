package native

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/transport/httpserver"
)

// BenchmarkDoor and BenchmarkEcho measure what a request costs from a socket through the door to a Checker that answers at once, and back,
// beside the bare echo that bench/echo.go is (fasthttp, msgpack by reflection, a fixed answer). Compare the two of one run:
//
//	memory     the connection is made up: what a request costs in the server's own code
//	loopback   one caller on a TCP connection waits for each answer: the kernel, and the caller in the same process, are in both figures
func BenchmarkDoor(b *testing.B) {
	d := New(Config{Checker: still{}})
	s := httpserver.New(httpserver.Config{Routes: map[string]fasthttp.RequestHandler{Path: d.Handle}})
	benchmarkServer(b, s.Serve, s.Shutdown)
}

func BenchmarkEcho(b *testing.B) {
	s := &fasthttp.Server{Handler: echo, MaxRequestBodySize: 1 << 20, NoDefaultServerHeader: true, IdleTimeout: time.Minute}
	benchmarkServer(b, s.Serve, s.ShutdownWithContext)
}

func echo(ctx *fasthttp.RequestCtx) {
	var r struct {
		Checks []struct {
			Key    string   `msgpack:"key"`
			Limits []string `msgpack:"limits"`
			Hits   int64    `msgpack:"hits"`
		} `msgpack:"checks"`
		TimeoutMS int64 `msgpack:"timeout_ms"`
	}
	if err := msgpack.Unmarshal(ctx.PostBody(), &r); err != nil || len(r.Checks) == 0 {
		ctx.Error("not a request for checks", fasthttp.StatusBadRequest)
		return
	}
	ctx.SetContentType("application/msgpack")
	b := ctx.Response.Body()[:0]
	b = append(b, "\x81\xa9decisions\xdc"...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Checks)))
	for range r.Checks {
		b = append(b, "\x87\xa7allowed\xc3\xa5limit\xce\x00\x01\x86\xa0\xa9remaining\xce\x00\x01\x86\x9f\xa8reset_ms\xce\x00\x36\xea\x98\xa8retry_ms\xcc\x00\xa2by\xa9100000/1h\xa3via\xa6holder"...)
	}
	ctx.Response.SetBodyRaw(b)
}

// benchRequest is what bench sends: so many checks, each with its key, under one limit.
func benchRequest(checks int) []byte {
	body := binary.BigEndian.AppendUint16([]byte("\x81\xa6checks\xdc"), uint16(checks))
	for i := range checks {
		body = fmt.Appendf(body, "\x83\xa3key\xb0bench-02:%07d\xa6limits\x91\xa9100000/1h\xa4hits\x01", i)
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:7070\r\nContent-Type: application/msgpack\r\nContent-Length: %d\r\n\r\n%s", Path, len(body), body)
}

func benchmarkServer(b *testing.B, serve func(net.Listener) error, shutdown func(context.Context) error) {
	memory := &oneListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	loopback, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var served sync.WaitGroup
	for _, l := range []net.Listener{memory, loopback} {
		served.Go(func() {
			if err := serve(l); err != nil {
				b.Error(err)
			}
		})
	}
	for _, checks := range []int{1, 100} {
		request := benchRequest(checks)
		b.Run(fmt.Sprintf("memory/%d", checks), func(b *testing.B) {
			b.ReportAllocs()
			c := &endless{request: request, times: b.N, closed: make(chan struct{})}
			memory.conns <- c
			<-c.closed
		})
		b.Run(fmt.Sprintf("loopback/%d", checks), func(b *testing.B) {
			c, err := net.Dial("tcp", loopback.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			answer := make([]byte, 32<<10)
			ask := func(length int) {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, answer[:length]); err != nil {
					b.Fatal(err)
				}
			}
			// All answers of a server to one request have one length, which the first tells.
			ask(0)
			length := 0
			for err == nil {
				var n int
				_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				n, err = c.Read(answer[length:])
				length += n
			}
			_ = c.SetReadDeadline(time.Time{})
			b.ReportAllocs()
			for b.Loop() {
				ask(length)
			}
		})
	}
	if err := shutdown(context.Background()); err != nil {
		b.Error(err)
	}
	served.Wait()
}

// oneListener accepts the connections that it is handed.
type oneListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	}
}

func (l *oneListener) Close() error   { close(l.closed); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

// endless is a connection that asks the same so many times, and takes what it is answered.
type endless struct {
	request []byte
	at      int // in the request
	times   int
	closed  chan struct{}
	once    sync.Once
}

func (c *endless) Read(b []byte) (int, error) {
	if c.times == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.request[c.at:])
	if c.at += n; c.at == len(c.request) {
		c.at = 0
		c.times--
	}
	return n, nil
}

func (c *endless) Write(b []byte) (int, error)      { return len(b), nil }
func (c *endless) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *endless) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *endless) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *endless) SetDeadline(time.Time) error      { return nil }
func (c *endless) SetReadDeadline(time.Time) error  { return nil }
func (c *endless) SetWriteDeadline(time.Time) error { return nil }
