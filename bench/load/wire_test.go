package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

type check struct {
	Key    string   `msgpack:"key"`
	Limits []string `msgpack:"limits"`
	Hits   int64    `msgpack:"hits"`
}

// parsed reads a request as a server would.
func parsed(t *testing.T, b []byte) []check {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != "POST" || r.URL.Path != "/v1/check" || r.Header.Get("Content-Type") != "application/msgpack" {
		t.Errorf("got %s %s, %v", r.Method, r.URL, r.Header)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var q struct {
		Checks []check `msgpack:"checks"`
	}
	d := msgpack.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields(true)
	if err := d.Decode(&q); err != nil {
		t.Fatal(err)
	}
	return q.Checks
}

func TestRequest(t *testing.T) {
	// A prefix that is short, and one that makes the key longer than a short string.
	for _, prefix := range []string{"a/", "0123456789012345678901234567/"} {
		r := NewRequest("127.0.0.1:1", prefix, "10/1h", 3)
		for _, keys := range [][]uint32{{0, 7, 99_999}, {12_345_678, 1, 2}} {
			var want []check
			for _, k := range keys {
				digits := []byte("00000000")
				for i := 7; i >= 0; i, k = i-1, k/10 {
					digits[i] += byte(k % 10)
				}
				want = append(want, check{prefix + string(digits), []string{"10/1h"}, 1})
			}
			if got := parsed(t, r.Set(keys)); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	s := newSpend("127.0.0.1:1", "a/", []string{"10/1h"})
	s.setHits(4_000_000_000)
	if got := parsed(t, s.Set([]uint32{5})); len(got) != 1 || got[0].Hits != 4_000_000_000 || got[0].Key != "a/00000005" {
		t.Errorf("got %v", got)
	}
}

func TestRequestOfSeveralForms(t *testing.T) {
	w, err := NewWorkload("mixed", 3, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := newWorkloadRequest("127.0.0.1:1", "a/", w)
	for _, keys := range [][]uint32{{0, 1, 2}, {4, 4, 99_999}, {3, 0, 12_345_679}} {
		var want []check
		for _, k := range keys {
			terms := w.TermsOf(k)
			want = append(want, check{fmt.Sprintf("a/%08d", k), terms.Limits, int64(terms.Hits)})
		}
		if got := parsed(t, r.Set(keys)); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

type decision struct {
	Allowed bool   `msgpack:"allowed"`
	Limit   uint32 `msgpack:"limit,omitempty"`
	By      string `msgpack:"by,omitempty"`
	Via     string `msgpack:"via,omitempty"`
	Retry   uint64 `msgpack:"retry_ms"`
}

func encoded(t testing.TB, d ...decision) []byte {
	t.Helper()
	b, err := msgpack.Marshal(map[string][]decision{"decisions": d})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScan(t *testing.T) {
	body := encoded(t,
		decision{true, 10, "10/1h", "holder", 0}, decision{false, 10, "10/1h", "denied-cache", 1 << 40},
		decision{true, 0, "", "unavailable", 0}, decision{false, 0, "", "full", 0},
		decision{true, 1, "1/1m", "by-telephone", 0}, decision{Allowed: true},
	)
	replies := make([]Reply, 6)
	var via Shares
	n, err := Scan(body, replies, &via)
	if want := []Reply{Admitted, Denied, Failed, Failed, Admitted, Admitted}; err != nil || n != 6 || !reflect.DeepEqual(replies, want) {
		t.Errorf("got %d, %v, %v; want %v", n, err, replies, want)
	}
	if want := (Shares{1, 0, 1, 0, 1, 1, 1}); via != want {
		t.Errorf("via %v, want %v", via, want)
	}
	if err := readInFull(body, replies); err != nil {
		t.Errorf("read in full: %v", err)
	}
	replies[1] = Admitted
	if readInFull(body, replies) == nil {
		t.Error("a scan that took a denial for an admission was not found out")
	}
	if _, err := Scan(body, replies[:5], &via); err == nil {
		t.Error("a decision too many was taken")
	}
	if n, err := Scan(body[:len(encoded(t, decision{}))-10], replies, &via); n > 1 && err == nil {
		t.Errorf("%d decisions of half an answer", n)
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	body := encoded(t, decision{true, 10, "10/1h", "holder", 0}, decision{false, 10, "10/1h", "lease", 5})
	replies := make([]Reply, 2)
	var via Shares
	r := NewRequest("h", "p/", "10/1h", 2)
	keys := []uint32{1, 2}
	if n := testing.AllocsPerRun(100, func() {
		r.Set(keys)
		Scan(body, replies, &via)
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
	w, _ := NewWorkload("mixed", 2, 1, 1)
	mixed := newWorkloadRequest("h", "p/", w)
	mixed.Set(keys)
	if n := testing.AllocsPerRun(100, func() { mixed.Set(keys) }); n != 0 {
		t.Errorf("%v allocations a request of several forms", n)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(encoded(f, decision{true, 10, "10/1h", "holder", 0}, decision{}))
	f.Add([]byte("\xa7allowed"))
	f.Add([]byte("\xa7allowed\xc3\xa3via\xa9holder"))
	f.Fuzz(func(t *testing.T, b []byte) {
		replies := make([]Reply, 4)
		var via Shares
		if n, _ := Scan(b, replies, &via); n > len(replies) {
			t.Errorf("%d decisions in a room for %d", n, len(replies))
		}
	})
}

func FuzzReadHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 2\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, length, _, err := readHead(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && (length < 0 && length != chunked || length > maxAnswer) {
			t.Errorf("a length of %d was taken", length)
		}
	})
}
