package main

import (
	"bytes"
	bin "encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/bench/proc"
)

// Hostile HTTP: what is sent to the checks and admin ports.

func itoa(n int) string { return strconv.Itoa(n) }

// postBytes is a request with a body whose length is told right.
func postBytes(path string, body []byte, headers ...string) []byte {
	return append(headBytes("POST", path, append(headers, "Content-Length: "+itoa(len(body)))...), body...)
}

func headBytes(method, path string, headers ...string) []byte {
	h := method + " " + path + " HTTP/1.1\r\nHost: stint\r\n"
	for _, l := range headers {
		h += l + "\r\n"
	}
	return []byte(h + "\r\n")
}

// Good requests, to be spoilt.
func goodJSON(key string) []byte {
	return fmt.Appendf(nil, `{"checks":[{"key":%q,"limits":["1000/1h"],"hits":1}],"timeout_ms":1000}`, key)
}

func goodMsgpack(key string) []byte {
	b, err := msgpack.Marshal(map[string]any{"checks": []any{map[string]any{"key": key, "limits": []string{"1000/1h"}, "hits": 1}}})
	if err != nil {
		panic(err)
	}
	return b
}

// random returns n random bytes.
func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n, n+8)
	for i := 0; i < n; i += 8 {
		bin.LittleEndian.PutUint64(b[i:i+8:cap(b)], r.Uint64())
	}
	return b[:n]
}

// mutate spoils a few bytes: flips, inserts, deletes, doubles, and swaps in bytes that mean something.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	const meaning = "{}[]\",:\\\x00\xff\r\n \xc1\xdd\xdf\xdb\xc6\x91\x81-0e"
	for range 1 + r.IntN(6) {
		if len(b) == 0 {
			return b
		}
		i := r.IntN(len(b))
		switch r.IntN(6) {
		case 0:
			b[i] ^= 1 << r.IntN(8)
		case 1:
			b[i] = byte(r.Uint32())
		case 2:
			b[i] = meaning[r.IntN(len(meaning))]
		case 3:
			b = append(b[:i], b[i+1:]...)
		case 4:
			b = append(b[:i], append([]byte{meaning[r.IntN(len(meaning))]}, b[i:]...)...)
		case 5:
			j := i + r.IntN(len(b)-i)
			b = append(b[:j:j], append(bytes.Clone(b[i:j]), b[j:]...)...)
		}
	}
	return b
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// checksWeapon attacks /v1/check and /v1/auth.
type checksWeapon struct{ *arena }

func (w checksWeapon) fire(r *rand.Rand, at *proc.Node) {
	var s shot
	switch r.IntN(5) {
	case 0, 1:
		s = w.badBody(r)
	case 2:
		s = badHTTP(r, "/v1/check", w.sentinel(r))
	case 3:
		s = strangeHTTP(r, "/v1/check", string(goodJSON(fodder(r))))
	case 4:
		s = badAuth(r)
	}
	w.judge("checks", s, w.send("checks", at.Checks(), s), true)
}

func (a *arena) sentinel(r *rand.Rand) string { return pick(r, a.sentinels...) }

// fodder is a key that nobody looks at.
func fodder(r *rand.Rand) string { return "fodder:" + itoa(r.IntN(5000)) }

// badBody is well-formed HTTP with a body that is wrong in one way. Where it is wrong for certain, it asks for a sentinel's hit first.
func (w checksWeapon) badBody(r *rand.Rand) shot {
	key := w.sentinel(r)
	certain := func(what string, body []byte) shot {
		s := one(what, postBytes("/v1/check", body))
		s.bad = true
		return s
	}
	good := pick(r, goodJSON, goodMsgpack)
	switch r.IntN(8) {
	case 0:
		b := good(key)
		return certain("truncated body", b[:r.IntN(len(b))])
	case 1:
		return certain("bytes after the body", append(good(key), pick(r, "x", "{}", "\x00", "\xc0")...))
	case 2:
		// A map with checks, whose lengths ask for up to 34 GiB.
		most := pick[uint32](r, 1<<32-1, 1<<31, 1<<31-1, 1<<24, 1001, 1<<16)
		long := func(tag byte) []byte { return bin.BigEndian.AppendUint32([]byte{tag}, most) }
		checks := append([]byte{0x81, 0xa6}, "checks"...)
		check := append(bytes.Clone(checks), 0x91, 0x81)
		b := pick(r,
			long(0xdf), append(checks, long(0xdd)...), append(checks, long(0xdf)...), append(append(checks, 0x91), long(0xdf)...),
			append(append(check, 0xa3, 'k', 'e', 'y'), long(pick[byte](r, 0xdb, 0xc6, 0xc9))...),
			append(append(check, "\xa6limits"...), long(0xdd)...), append(append(check, "\xaaattributes"...), long(0xdf)...),
			append([]byte{0x81}, long(0xdb)...), append(check, long(0xc6)...))
		return certain("msgpack with lying lengths", append(b, random(r, r.IntN(64))...))
	case 3:
		deep := pick(r, 5, 100, 10_000, 500_000)
		b := pick(r,
			`{"checks":`+strings.Repeat("[", deep), strings.Repeat(`{"a":`, deep/5+1), `{"checks":[{"attributes":`+strings.Repeat(`{"a":`, deep/5+1),
			`{"checks":[{"key":`+strings.Repeat("[", deep)+strings.Repeat("]", deep)+`}]}`,
			"\x81\xa6checks"+strings.Repeat("\x91", deep), strings.Repeat("\x81\xa1a", deep/3+1), "\x81\xa6checks\x91"+strings.Repeat("\x81\xa6limits\x91", deep/9+1))
		return certain("deep nesting", []byte(b))
	case 4:
		bad := pick(r,
			`{"key":"","limits":["1/1h"]}`, `{"key":"k","limits":[]}`, `{"key":"k"}`, `{}`, `null`, `7`, `{"key":"k","limits":["0/1h"]}`,
			`{"key":"`+strings.Repeat("k", 513)+`","limits":["1/1h"]}`, `{"key":"\ud800","limits":["1/1h"]}`, "{\"key\":\"\xff\",\"limits\":[\"1/1h\"]}",
			`{"key":"k","limits":[`+strings.Repeat(`"1/1h",`, 64)+`"2/1h"]}`, `{"key":"k","limits":["1/1h"],"hits":4294967296}`, `{"key":"k","limits":["1/1h"],"hits":1.5}`,
			`{"key":"k","limits":["1/1h"],"hits":1e99}`, `{"key":"k","key":"k","limits":["1/1h"]}`, `{"key":"k","limits":["1/1h"],"what":1}`,
			`{"key":"k","limits":["`+strings.Repeat("9", 5000)+`/1h"]}`, `{"attributes":{},"key":"k","limits":["1/1h"]}`, `{"attributes":{"method":1}}`, `{"attributes":{`+manyAttributes(65)+`}}`,
			`{"attributes":{"method":"GET","path":"/verify"},"policy":"nobody"}`, `{"key":"k","limits":["1/1h"],"receipt":"zz","hits":-1}`,
			`{"key":"k","limits":["99999999999/1h"]}`, `{"key":"k","limits":["1/1ns"]}`, `{"key":"k","limits":["1/1h burst=0"]}`)
		return certain("a bad check behind a good one", fmt.Appendf(nil, `{"checks":[{"key":%q,"limits":["1000/1h"]},%s]}`, key, bad))
	case 5:
		bad := pick(r, `"timeout_ms":0`, `"timeout_ms":10001`, `"timeout_ms":"1"`, `"checks":[]`, `"x":1`, `"timeout_ms":1,"timeout_ms":1`, `"timeout_ms":1e400`)
		return certain("a bad field beside good checks", fmt.Appendf(nil, `{"checks":[{"key":%q,"limits":["1000/1h"]}],%s}`, key, bad))
	case 6:
		n := pick(r, 1001, 5000, 20_000)
		s := certain("too many checks", []byte(`{"checks":[`+strings.Repeat(fmt.Sprintf(`{"key":%q,"limits":["1000/1h"]},`, key), n-1)+`{}]}`))
		s.want = 413
		return s
	default:
		return one("mutated body", postBytes("/v1/check", mutate(r, good(fodder(r))), pick(r, "X: y", "Content-Type: application/json", "Content-Type: application/msgpack", "Content-Encoding: gzip")))
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"a%d":"x"`, i)
	}
	return b.String()[1:]
}

// badHTTP is no request that may be answered by 2xx, whoever reads it.
func badHTTP(r *rand.Rand, path, key string) shot {
	body := goodJSON(key)
	s := shot{bad: true}
	whole := postBytes(path, body)
	switch r.IntN(10) {
	case 0:
		s.what, s.pieces = "cut off in the head", [][]byte{whole[:r.IntN(len(whole)-len(body))]}
		s.hold = r.IntN(4) == 0
	case 1:
		s.what, s.pieces = "cut off in the body", [][]byte{whole[:len(whole)-1-r.IntN(len(body))]}
		s.hold = r.IntN(4) == 0
	case 2:
		s.what, s.want = "too large, and says so", 413
		n := 1<<20 + 1 + r.IntN(1<<20)
		s.pieces = [][]byte{headBytes("POST", path, "Content-Length: "+itoa(n)), body, bytes.Repeat([]byte(" "), n-len(body))}
	case 3:
		s.what = "length that lies"
		n := pick(r, "1048576", "1000000", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-1", "0x40", "1e3", "99999999999999999999999999", "", "a")
		s.pieces = [][]byte{headBytes("POST", path, "Content-Length: "+n), body}
		s.hold = r.IntN(4) == 0
	case 4:
		s.what, s.want = "chunks beyond 1 MiB", 413
		s.pieces = append(s.pieces, headBytes("POST", path, "Transfer-Encoding: chunked"))
		size := pick(r, 1<<10, 64<<10, 1<<20)
		chunk := append(fmt.Appendf(nil, "%x\r\n", size), bytes.Repeat([]byte(" "), size)...)
		chunk = append(chunk, "\r\n"...)
		for n := 0; n <= 1<<20+size; n += size {
			s.pieces = append(s.pieces, chunk)
		}
	case 5:
		s.what = "chunks that lie"
		s.pieces = [][]byte{headBytes("POST", path, "Transfer-Encoding: chunked"), []byte(pick(r, "ffffffffffffffff", "fffffffffffffff", "7fffffffffffffff", "-1", "", "g", "100001", "5;"+strings.Repeat("x", 9000))),
			[]byte("\r\n"), body, []byte("\r\n")}
		s.hold = r.IntN(4) == 0
	case 6:
		s.what, s.want = "head of more than 16 KiB", 431
		fill := pick(r, "X-A: "+strings.Repeat("a", 17<<10), strings.Repeat("X-A: a\r\n", 3000)+"X-B: b", "Cookie: "+strings.Repeat("a=b; ", 20_000), strings.Repeat("a", 30_000)+": x")
		s.pieces = [][]byte{headBytes("POST", path, fill, "Content-Length: "+itoa(len(body))), body}
		if r.IntN(4) == 0 {
			s.pieces = [][]byte{postBytes(path+"?"+strings.Repeat("a=1&", 10_000), body)}
		}
	case 7:
		s.what = "another protocol"
		s.pieces = [][]byte{[]byte(pick(r, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x05\x01\x00", "*1\r\n$4\r\nPING\r\n", "SSH-2.0-x\r\n", "GET /\r\n", "\x00\x00\x12\x04\x00\x00\x00\x00\x00", "\r\n\r\n\r\n"))}
	case 8:
		s.what, s.pieces = "random bytes", [][]byte{random(r, r.IntN(8<<10))}
	case 9:
		s.what = "no good path or method"
		s.pieces = [][]byte{postBytes(pick(r, "/", "/v1", "/v1/check/", "/v1/../v1/", "//v1/check2", "/metrics", "/%00", "/v1/check%00", "*", "/"+strings.Repeat("../", 1000)), body)}
		if r.IntN(2) == 0 {
			s.pieces = [][]byte{append(headBytes(pick(r, "GET", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH", "X", strings.Repeat("M", 1000)), path, "Content-Length: "+itoa(len(body))), body...)}
		}
	}
	return s
}

// strangeHTTP is what servers read differently, so it may be answered either way.
func strangeHTTP(r *rand.Rand, path, body string) shot {
	cl := "Content-Length: " + itoa(len(body))
	inner := string(postBytes(path, []byte(body)))
	switch r.IntN(5) {
	case 0: // request smuggling
		return one("two ideas of the length", []byte(pick(r,
			string(headBytes("POST", path, cl, "Transfer-Encoding: chunked"))+"0\r\n\r\n"+inner,
			string(headBytes("POST", path, cl, cl))+body, string(headBytes("POST", path, cl, "Content-Length: 3"))+body,
			string(headBytes("POST", path, cl, "Transfer-Encoding: identity"))+body, string(headBytes("POST", path, cl, "Transfer-Encoding: xchunked"))+body,
			string(headBytes("POST", path, cl, "Transfer-Encoding : chunked"))+body, string(headBytes("POST", path, cl, "Transfer-Encoding:\tchunked"))+"0\r\n\r\n"+inner,
			string(headBytes("POST", path, "Content-Length: +"+itoa(len(body))))+body, string(headBytes("POST", path, "X: y\r\n "+cl))+body,
			string(headBytes("POST", path, "X: y\n"+cl))+body, string(headBytes("POST", path, "X: y\r"+cl))+body, string(headBytes("POST", path, "X\x00: y", cl))+body,
			strings.Replace(string(headBytes("POST", path, cl)), "\r\n", "\n", -1)+body,
			string(headBytes("POST", path, "Transfer-Encoding: chunked, chunked"))+"5\r\n"+body[:5]+"\r\n0\r\n\r\n",
			string(headBytes("POST", path, "Transfer-Encoding: chunked"))+fmt.Sprintf("%x\r\n%s\r\n0\r\nContent-Length: 5\r\nX: y\r\n\r\n", len(body), body))))
	case 1:
		return one("good requests, then garbage", append([]byte(strings.Repeat(inner, 1+r.IntN(3))), random(r, 1+r.IntN(500))...))
	case 2:
		return one("mutated request", mutate(r, []byte(inner)))
	case 3:
		s := one("expects to be told to go on", headBytes("POST", path, "Expect: "+pick(r, "100-continue", "200-ok", strings.Repeat("1", 999)), pick(r, cl, "Content-Length: 1048577", "Content-Length: 7")))
		s.pieces = append(s.pieces, []byte(body))
		return s
	default:
		b := []byte(strings.Repeat(inner, 50))
		return one("fifty at once, cut off", b[:r.IntN(len(b))])
	}
}

// badAuth asks /v1/auth about requests that no proxy should let through.
func badAuth(r *rand.Rand) shot {
	uri := pick(r, "//verify/", "/verify%00", "/%2e%2e/verify", "/verify/../../activate", "http://evil/verify", "*", "/verify?"+strings.Repeat("a=%ff&", 1500), "/"+strings.Repeat("a/", 6000),
		"\\verify", "/verify;x", "/verify#", "/%", "/%zz", "/verify\x01", "verify", "?", "/\xff\xfe", "/verify%2f", "///////", "/Verify", string(random(r, r.IntN(40))))
	lines := []string{"X-Forwarded-Method: " + pick(r, "GET", "POST", "get", "", "G\x00T", strings.Repeat("A", 5000)), "X-Forwarded-Uri: " + uri}
	for range r.IntN(4) {
		lines = append(lines, pick(r,
			"X-Forwarded-For: "+strings.Repeat("1.1.1.1, ", 1200), "X-Forwarded-For: "+strings.Repeat(",", 12_000), "X-Forwarded-For: "+string(random(r, 100)),
			"X-Forwarded-For: ::ffff:1.2.3.4%eth0, [::1]:99999, 999.1.1.1, unknown", "X-Forwarded-Uri: /other", "X-Original-URI: /third", "X-Forwarded-Host: "+strings.Repeat("h", 3000),
			"X-Forwarded-Host: a\x00b", "Authorization: Bearer "+strings.Repeat("t", 7000), "Cookie: "+strings.Repeat("a=b;", 2000), "X-Real-IP: 10.0.0.1", "Forwarded: for=\"[::1\"", "X-Forwarded-Method: PUT",
			strings.Repeat("X-Forwarded-For: 10.0.0.1\r\n", 400)+"X: y"))
	}
	q := pick(r, "", "", "?policy=nobody", "?deny_status=200", "?deny_status=403", "?denial=1", "?timeout_ms=0", "?timeout_ms=99999999999999999999", "?x=1", "?policy=hostile&policy=hostile", "?%zz=%00", "?policy="+strings.Repeat("p", 9000))
	body := []byte(nil)
	if r.IntN(3) == 0 {
		body = pick(r, random(r, 5000), []byte(`{"a":`+strings.Repeat("[", 90_000)), bytes.Repeat([]byte("a=b&"), 20_000))
	}
	lines = append(lines, pick(r, "X: y", "Content-Type: application/json", "Content-Type: multipart/form-data; boundary=x", "Content-Type: application/x-www-form-urlencoded"), "Content-Length: "+itoa(len(body)))
	return one("forward-auth with hostile words", append(headBytes(pick(r, "GET", "POST", "OPTIONS", "DELETE"), "/v1/auth"+q, lines...), body...))
}

// tooLarge asks for 413 where nothing can be lost on the way: the head alone says that the body is too large.
func (a *arena) tooLarge() {
	for _, n := range a.c.Nodes {
		for size, want := range map[int]int{1<<20 + 1: 413, 1 << 30: 413} {
			s := one("a head that says too much", headBytes("POST", "/v1/check", "Content-Length: "+itoa(size)))
			s.bad, s.want = true, want
			replies := a.send("checks", n.Checks(), s)
			a.judge("checks", s, replies, true)
			if len(replies) != 1 {
				a.fail("a head that says %d bytes: %d answers, want 413", size, len(replies))
			}
		}
	}
}

// adminWeapon attacks the admin port, which reads no bodies, but has queries.
type adminWeapon struct{ *arena }

func (w adminWeapon) fire(r *rand.Rand, at *proc.Node) {
	var s shot
	path := pick(r, "/livez", "/readyz", "/metrics", "/v1/members", "/v1/explain")
	switch r.IntN(4) {
	case 0:
		s = badHTTP(r, "/v1/check", w.sentinel(r))
		s.bad, s.want = false, 0 // net/http's own opinions
	case 1:
		s = strangeHTTP(r, path, `{"checks":[]}`)
	case 2:
		key := pick(r, w.sentinel(r), "", strings.Repeat("k", 513), "%ff", "%00", "%zz", "a&key=b")
		q := "?key=" + key + strings.Repeat("&limit="+pick(r, "1000/1h", "0/1h", "x", "1/1h%20burst=99999999999", "1/month%20fixed_window"), pick(r, 0, 1, 50, 700))
		s = one("hostile query", headBytes("GET", "/v1/explain"+q, "Connection: close"))
	default:
		s = one("hostile path", headBytes(pick(r, "GET", "POST", "HEAD", "OPTIONS", "TRACE"), path+pick(r, "", "/", "/../../../etc/passwd", "?"+strings.Repeat("a=1&", 3000), "?"+strings.Repeat("x", 30_000), "%00", ";a", "//"),
			pick(r, "X: y", "Accept-Encoding: gzip, deflate, br, zstd, *;q=0", "Accept: "+strings.Repeat("application/openmetrics-text;q=0.1,", 200), "Upgrade: h2c"), "Connection: close"))
	}
	replies := w.send("admin", at.Admin(), s)
	// /metrics serves four at a time and says 503 to the fifth; requests in a protocol of another version are 505.
	kept := replies[:0]
	for _, p := range replies {
		if p.status != 503 && p.status != 505 && p.status != 501 {
			kept = append(kept, p)
		}
	}
	w.judge("admin", s, kept, false)
}
