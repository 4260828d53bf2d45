package peer

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// Large packets arrive whole; a larger one is not sent, and what others send is refused before it is read.
func TestPacketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(pc *PipeConfig, sc *ServerConfig) {
			pc.Auth, sc.Auth = NewAuth([]byte("s")), NewAuth([]byte("s"))
		})
		r := rand.New(rand.NewPCG(1, 1))
		for _, n := range []int{1, smallMail - 200, smallMail, smallMail + 1, 1 << 20, MaxMail - 1, MaxMail} {
			text := make([]byte, n)
			for i := range text {
				text[i] = byte(r.Uint32())
			}
			x.out.put(x.pipe, MailBulk, string(text))
			if got := x.in.got(); len(got) != 1 || got[0] != string(text) {
				t.Errorf("%d bytes: got %d packets; %v", n, len(got), x.out.failures())
			}
		}
		x.out.put(x.pipe, MailBulk, strings.Repeat("x", MaxMail+1))
		if f := x.out.failures(); len(f) != 1 || !strings.Contains(f[0].Error(), "at most 8388608 fit") {
			t.Errorf("too large a packet: %v", f)
		}
		if room := x.server.Stats().MailRoom.Load(); room != 0 {
			t.Errorf("%d bytes are still taken", room)
		}
		x.close()
	})
}

// What is no mail is refused, and takes no memory for what it promises.
func TestWhatIsNoMailIsRefused(t *testing.T) {
	head := func(change func(b []byte) []byte) []byte {
		b := appendMailHeader(nil, &header{lane: 1, cluster: hello.sum(), start: 100, target: 200, sequence: 1, name: []byte("n0")})
		return change(append(b, "text"...))
	}
	at := func(i int, v byte) func([]byte) []byte { return func(b []byte) []byte { b[i] = v; return b } }
	as := func(b []byte) []byte { return b }
	for _, x := range []struct {
		what    string
		request []byte
		status  int
	}{
		{"good", post(MailPath, head(as)), 200},
		{"magic", post(MailPath, head(at(2, 'q'))), 400},
		{"lane", post(MailPath, head(at(4, byte(mailLanes)))), 400},
		{"zero", post(MailPath, head(at(6, 1))), 400},
		{"no name", post(MailPath, head(at(40, 0))), 400},
		{"long name", post(MailPath, head(at(40, MaxName+1))), 400},
		{"name cut off", post(MailPath, head(at(40, 20))), 400},
		{"cut off", post(MailPath, head(as)[:mailHead-1]), 400},
		{"nothing", post(MailPath, nil), 400},
		{"too long", post(MailPath, make([]byte, 9_999_999))[:20_000], 413},
		{"a length that lies", append([]byte("POST "+MailPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"), make([]byte, 9000)...), 413},
		{"nothing of what is promised", post(MailPath, make([]byte, 100))[:70], 400},
		{"good, as a form", []byte("POST " + MailPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 47\r\n\r\n" + string(head(as))), 200},
		{"a form", []byte("POST " + MailPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\n\r\n--b--"), 400},
		{"chunks", []byte("POST " + MailPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 411},
		{"a body that never comes", post(MailPath, make([]byte, MaxMail))[:5000], 400},
		{"a large body that never comes", post(MailPath, make([]byte, MaxMail))[:smallMail+1000], 400},
		{"another path", post(MailPath+"s", head(as)), 404},
		{"a batch after mail", append(post(MailPath, head(as)), post(BatchPath, nil)...), 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, newCounters(), func(_ *PipeConfig, sc *ServerConfig) { sc.Mail = new(inbox).mail })
			defer p.close()
			var status int
			n := spentBytes(func() { status, _, _ = raw(t, p.net, x.request) })
			if status != x.status {
				t.Errorf("%s: status %d, not %d", x.what, status, x.status)
			}
			if n > 1<<20 {
				t.Errorf("%s: %d bytes allocated", x.what, n)
			}
			st := p.server.Stats()
			if st.MailRoom.Load() != 0 || (st.Bad.Load() == 0) != (x.status == 200 && x.what == "good") && x.status != 200 {
				t.Errorf("%s: %d bytes taken, %d counted as bad", x.what, st.MailRoom.Load(), st.Bad.Load())
			}
		})
	}
}

// Connections that bring large packets share a bounded memory. Who finds none is told, and small packets need none.
func TestTheMemoryForMailIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		defer x.close()
		var slow []net.Conn
		body := appendMailHeader(nil, &header{lane: 1, cluster: hello.sum(), start: 100, target: 200, sequence: 1, name: []byte("other")})
		request := post(MailPath, append(body, make([]byte, MaxMail-len(body))...))
		for range maxMailRoom/MaxMail - 1 {
			c, err := x.mem.Dialer("other")(t.Context(), "n1:1")
			if err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
			if _, err := c.Write(request[:len(request)-1]); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if room := x.server.Stats().MailRoom.Load(); room != maxMailRoom-MaxMail {
			t.Errorf("%d bytes taken", room)
		}
		// The last of the room would do for the packet, but not for half of it beside, which is there when the buffer doubles.
		x.out.put(x.pipe, MailBulk, strings.Repeat("x", MaxMail))
		if f := x.out.failures(); len(f) != 1 || !strings.Contains(f[0].Error(), "503") || x.server.Stats().MailNoRoom.Load() != 1 {
			t.Errorf("no room: %v", f)
		}
		x.out.put(x.pipe, MailUrgent, "small")
		if got := x.in.got(); len(got) != 1 || got[0] != "small" {
			t.Errorf("got %d packets", len(got))
		}
		for _, c := range slow {
			c.Close()
		}
		synctest.Wait()
		x.out.put(x.pipe, MailBulk, strings.Repeat("x", MaxMail))
		if got := x.in.got(); len(got) != 1 || x.server.Stats().MailRoom.Load() != 0 {
			t.Errorf("got %d packets; %d bytes taken; %v", len(got), x.server.Stats().MailRoom.Load(), x.out.failures())
		}
	})
}
