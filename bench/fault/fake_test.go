package fault

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// A fakeCluster is a number of servers that count together, in a map. What goes wrong is said by wrong.
type fakeCluster struct {
	nodes []*httptest.Server

	mu sync.Mutex
	// protects following fields
	spent map[string]uint64
	asked int
	after int           // so many checks, then closes enough
	ready chan struct{} // closed after so many checks
	// wrong, where it is set, returns the via of the answer to a check; "" is to close the connection without one.
	wrong func(node int, key string) string
}

func newFake(t *testing.T, nodes int) *fakeCluster {
	t.Helper()
	f := &fakeCluster{spent: map[string]uint64{}, ready: make(chan struct{}), after: 500}
	for i := range nodes {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, i) }))
		t.Cleanup(s.Close)
		f.nodes = append(f.nodes, s)
	}
	return f
}

func (f *fakeCluster) addr(i int) string { return strings.TrimPrefix(f.nodes[i].URL, "http://") }

func (f *fakeCluster) serve(w http.ResponseWriter, r *http.Request, node int) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var c checks
	kind := r.Header.Get("Content-Type")
	if kind == msgpackType {
		err = msgpack.Unmarshal(body, &c)
	} else {
		err = json.Unmarshal(body, &c)
	}
	if err != nil || len(c.Checks) != 1 {
		http.Error(w, "no check", http.StatusBadRequest)
		return
	}
	d, ok := f.decide(c.Checks[0], node)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	answer := map[string]any{"decisions": []any{map[string]any{"allowed": d.Allowed, "remaining": d.Remaining, "via": d.Via, "limit": 7}}}
	w.Header().Set("Content-Type", kind)
	if kind == msgpackType {
		body, err = msgpack.Marshal(answer)
	} else {
		body, err = json.Marshal(answer)
	}
	if err == nil {
		w.Write(body)
	}
}

func (f *fakeCluster) decide(c check, node int) (decision, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked++; f.asked == f.after {
		close(f.ready)
	}
	d := decision{Via: "holder"}
	if f.wrong != nil {
		d.Via = f.wrong(node, c.Key)
	}
	if d.Via != "holder" {
		d.Allowed = true // as failure_mode allow has it
		return d, d.Via != ""
	}
	text, _, _ := strings.Cut(c.Limits[0], "/")
	count, _ := strconv.ParseUint(text, 10, 64)
	if d.Allowed = f.spent[c.Key]+uint64(c.Hits) <= count; d.Allowed {
		f.spent[c.Key] += uint64(c.Hits)
	}
	if f.spent[c.Key] < count {
		d.Remaining = count - f.spent[c.Key]
	}
	return d, true
}

// run loads all nodes until they were asked often enough, and pauses the load. The load is closed at the end.
func (f *fakeCluster) run(t *testing.T, callers int) (*Load, []*Key) {
	t.Helper()
	l := NewLoad(callers, 0)
	t.Cleanup(l.Close)
	for i := range f.nodes {
		l.Up("n"+strconv.Itoa(i), f.addr(i))
	}
	keys := l.NewKeys("k", 20, 30)
	l.Use(keys)
	l.Resume()
	<-f.ready
	l.Pause()
	return l, keys
}

// finish asks for the last hits and returns the account.
func finish(t *testing.T, l *Load, keys []*Key) Account {
	t.Helper()
	if err := l.Finish(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	return l.Records().Account(keys)
}
