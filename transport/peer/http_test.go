package peer

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// both are the two forms of a batch: as a pipe sends it, and as another client might.
func both(body []byte) (own, other []byte) {
	own = post(BatchPath, body)
	other = append([]byte("POST "+BatchPath+" HTTP/1.1\r\nhost: stint\r\naccept: */*\r\ncontent-length: "), own[len(batchBefore):]...)
	return own, other
}

// Requests of both forms go over one connection in any order, in pieces of any size, and are answered in their order.
func TestABatchIsAnsweredHoweverItsRequestIsWritten(t *testing.T) {
	c := GetCall(1)
	defer c.Put()
	for _, forms := range []string{"ooo", "oooooxoo", "xo", "oxoxo"} {
		for _, piece := range []int{1, 7, 150, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				d := newCounters()
				x := newPair(t, d, nil)
				defer x.close()
				conn, err := x.net.Dial(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				var all []byte
				for i, form := range forms {
					own, other := both(batchTo(n1, uint64(i+1), fill(c, 0, 7, 1, want(7, 100))))
					if form == 'x' {
						own = other
					}
					all = append(all, own...)
				}
				go func() {
					for len(all) > 0 {
						n := min(piece, len(all))
						conn.Write(all[:n])
						all = all[n:]
					}
				}()
				br := bufio.NewReader(conn)
				for i := range forms {
					resp, err := http.ReadResponse(br, nil)
					if err != nil || resp.StatusCode != 200 || resp.Close {
						t.Fatalf("%s in pieces of %d, request %d: %+v, %v", forms, piece, i, resp, err)
					}
					body, _ := io.ReadAll(resp.Body)
					var h answerHeader
					if _, err := readAnswerHeader(body, &h); err != nil || h.sequence != uint64(i+1) {
						t.Fatalf("%s in pieces of %d, request %d: %+v, %v", forms, piece, i, h, err)
					}
				}
				if n := d.total(7); n != int64(len(forms)) {
					t.Errorf("%s in pieces of %d: %d spent", forms, piece, n)
				}
				// fasthttp has the connection from the first request on that no pipe sends so.
				if has := x.server.http.GetCurrentConcurrency() != 0; has != strings.Contains(forms, "x") {
					t.Errorf("%s in pieces of %d: fasthttp has the connection: %v", forms, piece, has)
				}
			})
		}
	}
}

// What is as large as it may be is decided where it lies.
func TestTheLargestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		c := GetCall(MaxEntries)
		defer c.Put()
		asks := make([]*Ask, MaxEntries)
		for i := range asks {
			wants := []bucket.Want{want(uint64(i), 10)}
			if i < (MaxBatch-MaxEntries*(entrySize+wantSize)-100)/wantSize { // as many more as there is room for
				wants = append(wants, want(uint64(i), 20))
				wants[1].ID.Line++
			}
			asks[i] = fill(c, i, uint64(i), 1, wants...)
		}
		own, other := both(batchTo(n1, 1, asks...))
		if n := len(own) - batchHead; n > MaxBatch || n < MaxBatch-200 {
			t.Fatalf("a batch of %d bytes", n)
		}
		status, first, closed := raw(t, x.net, own)
		if status != 200 || closed || x.server.http.GetCurrentConcurrency() != 0 {
			t.Errorf("status %d, hung up: %v", status, closed)
		}
		if _, again, _ := raw(t, x.net, other); !bytes.Equal(first, again) || len(first) < MaxEntries*outcomeSize {
			t.Errorf("answers of %d and %d bytes", len(first), len(again))
		}
		for i := range asks {
			if n := d.total(uint64(i)); n != 1 {
				t.Fatalf("key %d: %d spent", i, n)
			}
		}
	})
}

// Who begins a request of ours and does not end it is hung up on as soon as any other.
func TestARequestThatNeverEnds(t *testing.T) {
	c := GetCall(1)
	defer c.Put()
	for _, some := range []int{30, batchHead, batchHead + 20} {
		synctest.Test(t, func(t *testing.T) {
			x := newPair(t, newCounters(), nil)
			defer x.close()
			conn, err := x.net.Dial(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go conn.Write(post(BatchPath, batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10))))[:some])
			time.Sleep(2*readTimeout + writeTimeout + time.Second)
			if n := x.server.Stats().Conns.Load(); n != 0 {
				t.Errorf("after %d bytes: still connected", some)
			}
		})
	}
}

func TestHeadsThatAreOurs(t *testing.T) {
	good := string(post(BatchPath, make([]byte, 300)))[:batchHead]
	for i := range good {
		if _, whole, ours := ownHead([]byte(good[:i])); whole || !ours {
			t.Errorf("%d bytes: whole %v, ours %v", i, whole, ours)
		}
		bad := []byte(good)
		bad[i] ^= 0x40
		if _, whole, ours := ownHead(bad); whole || ours {
			t.Errorf("%q is ours", bad)
		}
	}
	if n, whole, ours := ownHead([]byte(good + "xyz")); n != 300 || !whole || !ours {
		t.Errorf("%d, %v, %v", n, whole, ours)
	}
	long := post(BatchPath, make([]byte, MaxBatch+macSize+1))
	if _, whole, ours := ownHead(long); whole || ours {
		t.Error("a body that is too long is ours")
	}
	if _, whole, ours := ownHead(long[:len(long)-1]); whole || ours {
		t.Error("what the head says counts, not what is there")
	}
}

func TestWhatAPipeReadsOfAnAnswer(t *testing.T) {
	own := appendReply(nil)
	own = append(own, "abc"...)
	setReplyLength(own)
	for _, x := range []struct {
		what, answer string
		body         string
		keep         bool
		err          string
	}{
		{"ours", string(own), "abc", true, ""},
		{"with more after it", string(own) + "x", "abc", false, ""},
		{"in other words", "HTTP/1.1 200 OK\r\ncontent-length:3 \r\nX: y:z\r\n\r\nabc", "abc", true, ""},
		{"and the last", "HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "abc", false, ""},
		{"of an old server", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", false, ""},
		{"nothing", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true, ""},
		{"without a reason", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", "abc", true, ""},
		{"refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nabc", "", false, "secrets differ"},
		{"refused without a length", "HTTP/1.1 400 Bad Request\r\n\r\n", "", false, "of the same version"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nabc", "", false, errReply.Error()},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "", false, errReply.Error()},
		{"a length below 0", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", "", false, errReply.Error()},
		{"a long length", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nabc", "", false, errReply.Error()},
		{"more than allowed", "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\nabc", "", false, "at most 100"},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "", false, errReply.Error()},
		{"a line that is none", "HTTP/1.1 200 OK\r\nabc\r\n\r\n", "", false, errReply.Error()},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "", false, errReply.Error()},
		{"no status", "HTTP/1.1 2xx OK\r\nContent-Length: 3\r\n\r\nabc", "", false, errReply.Error()},
		{"a head without end", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead), "", false, errReply.Error()},
		{"cut off in the head", string(own[:20]), "", false, "EOF"},
		{"cut off in the body", string(own[:len(own)-1]), "", false, "EOF"},
	} {
		for _, piece := range []int{1, 1 << 20} {
			client, server := net.Pipe()
			go func() {
				for b := x.answer; len(b) > 0; {
					n := min(piece, len(b))
					if _, err := server.Write([]byte(b[:n])); err != nil {
						break
					}
					b = b[n:]
				}
				server.Close()
			}()
			body, keep, err := newLink(client).reply(nil, 100)
			if piece == 1 && x.what == "with more after it" {
				keep = false // it has not come yet
			}
			if string(body) != x.body || keep != x.keep || (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
				t.Errorf("%s, in pieces of %d: %q, %v, %v", x.what, piece, body, keep, err)
			}
			client.Close()
		}
	}
}

// What is understood of an answer is what net/http understands of it.
func FuzzReply(f *testing.F) {
	f.Add(appendReply(nil))
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nConnection: close\r\ncontent-length: 12\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		at := bytes.Index(b, []byte(headEnd))
		if at < 0 {
			return
		}
		r, err := parseReply(b[:at])
		if err != nil {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:at+len(headEnd)])), nil)
		if err != nil {
			return // it minds more than is of interest here
		}
		if resp.StatusCode != r.code || r.code == 200 && resp.ContentLength != int64(r.length) {
			t.Fatalf("%q: %+v, net/http: %d, %d bytes", b, r, resp.StatusCode, resp.ContentLength)
		}
	})
}
