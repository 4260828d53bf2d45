package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A reply is an HTTP answer as it came.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send fires a shot at a TCP address and reads whatever HTTP answers come, at most ten. It reads while it writes: a
// server that has heard enough answers and hangs up before all is sent.
func (a *arena) send(port, addr string, s shot) []reply {
	a.count(port, "shot "+s.what, 1)
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		a.count(port, "could not connect", 1)
		return nil
	}
	tcp := conn.(*net.TCPConn)
	tcp.SetLinger(0) // a minute of short connections would use up the ports
	var wg sync.WaitGroup
	defer wg.Wait()
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(3 * time.Second))
	wait := 3 * time.Second
	if s.hold {
		wait = 30 * time.Millisecond
	}
	conn.SetReadDeadline(time.Now().Add(wait))
	wg.Go(func() {
		for _, p := range s.pieces {
			if _, err := conn.Write(p); err != nil {
				return
			}
		}
		if !s.hold {
			tcp.CloseWrite()
		}
	})
	var replies []reply
	br := bufio.NewReader(io.LimitReader(conn, 8*mib))
	for len(replies) < 10 {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			break
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		body, _ := io.ReadAll(resp.Body) // of an answer to HEAD there is less than it says
		replies = append(replies, reply{resp.StatusCode, resp.Header, body})
	}
	if len(replies) == 0 {
		a.count(port, "not answered", 1)
	}
	for _, r := range replies {
		a.count(port, "answered "+itoa(r.status), 1)
	}
	return replies
}

// judge holds the answers to a shot against what every answer of the port must be.
func (a *arena) judge(port string, s shot, replies []reply, problems bool) {
	wrong := func(r reply, what string) {
		a.fail("%s, seed %d: %q was answered %d %q %.200q: %s\nsent (%d pieces): %.600q", port, a.seed, s.what, r.status,
			r.header.Get("Content-Type"), r.body, what, len(s.pieces), bytes.Join(s.pieces, nil))
	}
	for _, r := range replies {
		switch {
		case r.status >= 500:
			wrong(r, "a bad request must not be the server's fault")
		case s.bad && r.status < 400:
			wrong(r, "want a refusal")
		case s.want != 0 && r.status != s.want:
			wrong(r, "want "+itoa(s.want))
		case problems && r.status >= 400 && r.header.Get("X-By-Policy") == "":
			var p struct {
				Type, Title, Detail string
				Status              int
			}
			if r.header.Get("Content-Type") != "application/problem+json" {
				wrong(r, "want problem+json")
			} else if len(r.body) > 0 && (json.Unmarshal(r.body, &p) != nil || p.Status != r.status || p.Detail == "" || p.Title == "") {
				wrong(r, "not a problem")
			}
		}
	}
}
