package admin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lone is the gossip of a node that has nobody to call.
type lone struct {
	view    *members.View
	changed chan struct{}
}

func (l lone) View() *members.View       { return l.view }
func (l lone) Changed() <-chan struct{}  { return l.changed }
func (l lone) SetLocal(members.Local)    {}
func (l lone) Alone() bool               { return true }
func (l lone) Leave(time.Duration) error { return nil }
func (l lone) Close() error              { return nil }

// page is the admin of a lone node that serves.
func page(t *testing.T) (*node.Node, http.Handler) {
	t.Helper()
	gossip := lone{&members.View{Self: "a", Members: []members.Member{
		{Name: "a", StartID: 1, DataAddr: "127.0.0.1:7070", Serving: true, Version: "v1", Patience: 1},
		{Name: "gone", StartID: 1, State: members.Left, Patience: 2},
	}}, make(chan struct{})}
	n, err := node.New(node.Config{Name: "a", StartID: 1, Gossip: gossip, Hasher: bucket.NewHasher(nil), MaxLines: 1000,
		Timers: hold.Patience(20), // a busy machine must not make it wait for itself
		Log:    slog.New(slog.DiscardHandler),
		Pipe:   func(peer.PipeConfig) (*peer.Pipe, error) { panic("nobody to call") }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	for !n.Ready() {
		time.Sleep(time.Millisecond) // begins in a goroutine of its own, within a tick
	}
	l := transport.NewLimit("api", "all", bucket.Limit{Count: 5, Window: 60_000})
	return n, Handler(Config{Node: n, Version: "v1",
		Peeks: func() []transport.Check { return []transport.Check{{Limits: []transport.Limit{l}}} },
		Doors: func() []DoorStats { return []DoorStats{{Door: "check", Answers: map[string]uint64{"ok": 7}}} },
	})
}

func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestHealth(t *testing.T) {
	n, h := page(t)
	if code, body := get(h, "/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("serving: %d %q", code, body)
	}
	n.Drain()
	if code, _ := get(h, "/readyz"); code != 503 {
		t.Errorf("draining: %d, want 503", code)
	}
	if code, _ := get(h, "/livez"); code != 200 {
		t.Errorf("draining is alive: %d", code)
	}
}

func TestMembers(t *testing.T) {
	_, h := page(t)
	code, body := get(h, "/v1/members")
	var v membersPage
	if err := json.Unmarshal([]byte(body), &v); err != nil || code != 200 {
		t.Fatalf("%d %q: %v", code, body, err)
	}
	if len(v.Ring) != 8 || len(v.Members) != 2 || v.Members[0].Partitions != ring.Partitions || !v.Members[0].Self ||
		v.Members[0].State != "alive" || v.Members[1].State != "left" || v.Members[1].Partitions != 0 {
		t.Errorf("%s", body)
	}
}

func TestExplain(t *testing.T) {
	n, h := page(t)
	all := transport.NewLimit("api", "all", bucket.Limit{Count: 5, Window: 60_000})
	r := transport.Request{Deadline: time.Now().Add(time.Second), Checks: []transport.Check{{Key: []byte("ip=1"), Limits: []transport.Limit{all}, Hits: 2}}}
	n.Check(&r)
	code, body := get(h, "/v1/explain?key=ip%3D1&limit=9/1h")
	var e node.Explanation
	if err := json.Unmarshal([]byte(body), &e); err != nil || code != 200 {
		t.Fatalf("%d %q: %v", code, body, err)
	}
	if e.Holder != "a" || e.Home != "a" || !e.Here || len(e.Limits) != 2 ||
		e.Limits[0].Limit != "9/1h" || e.Limits[0].Spent != 0 || e.Limits[1].Rule != "all" || e.Limits[1].Spent != 2 || e.Limits[1].Remaining != 3 {
		t.Errorf("%s", body)
	}
	// A key that no policy has counted shows no policy's limits.
	if _, body := get(h, "/v1/explain?key=other"); strings.Contains(body, `"limits"`) {
		t.Errorf("never spent: %s", body)
	}
	for _, bad := range []string{"/v1/explain", "/v1/explain?key=", "/v1/explain?key=%ff", "/v1/explain?key=a&limit=9", "/v1/explain?key=" + strings.Repeat("k", 513)} {
		if code, body := get(h, bad); code != 400 || !strings.Contains(body, `"detail"`) {
			t.Errorf("%s: %d %q", bad, code, body)
		}
	}
}

// Every metric is there from the start, and no label takes a caller's word.
func TestMetrics(t *testing.T) {
	n, h := page(t)
	l := transport.NewLimit("", transport.Inline, bucket.Limit{Count: 1, Window: 60_000})
	for range 3 {
		r := transport.Request{Deadline: time.Now().Add(time.Second), Checks: []transport.Check{{Key: []byte("secret-key"), Limits: []transport.Limit{l}, Hits: 1}}}
		n.Check(&r)
	}
	code, body := get(h, "/metrics")
	if code != 200 {
		t.Fatal(code, body)
	}
	for _, want := range []string{
		`stint_checks_total{allowed="true",via="holder"} 1`, `stint_checks_total{allowed="false",via="holder"} 2`,
		`stint_partitions_held 4093`, `stint_ready 1`, `stint_lines 1`, `stint_members{state="left"} 1`, `stint_members{state="dead"} 0`,
		`stint_http_answers_total{answer="ok",door="check"} 7`, `stint_partition_resets_total{cause="crash"} 0`, `go_goroutines`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, "secret-key") {
		t.Error("a key shows in the metrics")
	}
	for _, m := range regexp.MustCompile(`(?m)^(stint_\w+)`).FindAllString(body, -1) {
		if !regexp.MustCompile(`^stint_[a-z_]+$`).MatchString(m) {
			t.Errorf("%s: not a good name", m)
		}
	}
}

// Who has other timers is counted, and shown with them; who is gone, or says nothing of them, is not counted.
func TestOtherPatience(t *testing.T) {
	gossip := lone{&members.View{Self: "a", Members: []members.Member{
		{Name: "a", StartID: 1, Patience: 1}, {Name: "b", StartID: 1, Patience: 3}, {Name: "c", StartID: 1, Patience: 1},
		{Name: "d", StartID: 1}, {Name: "e", StartID: 1, State: members.Dead, Patience: 3}, {Name: "f", StartID: 1, State: members.Suspect, Patience: 1.001},
	}}, make(chan struct{})}
	n, err := node.New(node.Config{Name: "a", StartID: 1, Gossip: gossip, Hasher: bucket.NewHasher(nil), MaxLines: 1000,
		Timers: hold.Patience(20), // a busy machine must not make it wait for itself
		Log:    slog.New(slog.DiscardHandler),
		Pipe:   func(peer.PipeConfig) (*peer.Pipe, error) { return nil, errors.New("nobody to call") }})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	h := Handler(Config{Node: n})
	if _, body := get(h, "/metrics"); !strings.Contains(body, "stint_members_other_patience 2\n") {
		t.Error("b and f are not counted")
	}
	_, body := get(h, "/v1/members")
	var v membersPage
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{1, 3, 1, 0, 3, 1.001} {
		if got := v.Members[i].Patience; got != want {
			t.Errorf("%s: %v, want %v", v.Members[i].Name, got, want)
		}
	}
}

func TestForget(t *testing.T) {
	_, h := page(t)
	for _, c := range []struct {
		method, query string
		want          int
		says          string
	}{
		{"POST", "?name=gone", 200, `"forgotten":"gone"`},
		{"POST", "?name=a", 409, "alive"},
		{"POST", "?name=stranger", 409, "stranger"},
		{"POST", "?name=", 400, "NAME"},
		{"POST", "", 400, "NAME"},
		{"GET", "?name=gone", 405, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, "/v1/forget"+c.query, nil))
		if w.Code != c.want || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %q: %d %s; want %d and %q", c.method, c.query, w.Code, w.Body, c.want, c.says)
		}
	}
}

func TestAnythingElse(t *testing.T) {
	_, h := page(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{{"POST", "/v1/members", 405}, {"GET", "/nothing", 404}, {"GET", "/", 404}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
}
