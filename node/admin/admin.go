package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node"
	"github.com/stint-limiter/stint/transport"
)

// maxExplained bounds the limits of one explanation: each is a check.
const maxExplained = 256

// A Config is what the admin pages are made from. Node is required.
type Config struct {
	Node *node.Node
	// Peeks returns a peek at each limit of all policies in force, without a key, for explanations; nil: there are none.
	Peeks func() []transport.Check
	// Doors returns counters of the doors, for metrics; nil: there are none.
	Doors func() []DoorStats
	// Rules returns counters of the policies' rules, for metrics; nil: there are none.
	Rules func() []RuleStats
	// ReloadFailed says whether the last reload of the policies was refused; nil: there are none to reload.
	ReloadFailed func() bool
	Version      string
	Log          *slog.Logger
}

// NewServer returns the server of the admin pages, with timeouts and header caps set. The caller gives it a listener.
func NewServer(c Config) *http.Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &http.Server{
		Handler:           Handler(c),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
}

// Handler returns the admin pages.
func Handler(c Config) http.Handler {
	a := &admin{Config: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", a.livez)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /v1/members", a.members)
	mux.HandleFunc("GET /v1/explain", a.explain)
	mux.HandleFunc("POST /v1/forget", a.forget)
	mux.Handle("GET /metrics", a.metrics())
	// Nothing here reads a body; a client that sends one anyway is cut off early.
	return http.MaxBytesHandler(mux, 64<<10)
}

type admin struct{ Config }

func (a *admin) livez(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (a *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.Node.Ready() {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, a.Node.Phase())
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *admin) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	key := q.Get("key")
	probe := transport.Check{Key: []byte(key)}
	if err := transport.ValidKey(probe.Key); err != nil {
		problem(w, http.StatusBadRequest, err.Error()+"; ask /v1/explain?key=KEY, with its special characters escaped")
		return
	}
	var peeks []transport.Check
	for _, text := range q["limit"] {
		l, err := bucket.Parse(text)
		if err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
		peeks = append(peeks, transport.Check{Limits: []transport.Limit{transport.NewLimit("", transport.Inline, l)}})
	}
	if a.Peeks != nil {
		peeks = append(peeks, a.Peeks()...)
	}
	if len(peeks) > maxExplained {
		peeks = peeks[:maxExplained]
	}
	writeJSON(w, http.StatusOK, a.Node.Explain([]byte(key), peeks))
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
