package fault

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The hosts of a Net are tried with this test binary, which says on HTTP what datagrams it has heard, and sends some.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "host" {
		beHost(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

func beHost(addr string) {
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		panic(err)
	}
	var heard sync.Map // whom, to true
	go func() {
		b := make([]byte, 16)
		for {
			if n, _, err := u.ReadFrom(b); err == nil {
				heard.Store(string(b[:n]), true)
			}
		}
	}()
	http.HandleFunc("/heard", func(w http.ResponseWriter, r *http.Request) {
		_, ok := heard.Load(r.URL.Query().Get("what"))
		fmt.Fprint(w, ok)
	})
	http.HandleFunc("/send", func(w http.ResponseWriter, r *http.Request) {
		to, err := net.ResolveUDPAddr("udp", r.URL.Query().Get("to"))
		if err == nil {
			_, err = u.WriteTo([]byte(r.URL.Query().Get("what")), to)
		}
		fmt.Fprint(w, err)
	})
	panic(http.ListenAndServe(addr, nil))
}

// page fetches a page of such a host.
func page(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
