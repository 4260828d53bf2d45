package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// answer is what a check request is answered with, in either format.
type answer struct {
	Decisions []struct {
		Allowed   bool   `json:"allowed" msgpack:"allowed"`
		Remaining int64  `json:"remaining" msgpack:"remaining"`
		Via       string `json:"via" msgpack:"via"`
	} `json:"decisions" msgpack:"decisions"`
}

// asker asks a node for one hit, in JSON or msgpack.
type asker struct {
	addr    string
	msgpack bool
	client  *http.Client
}

func newAsker(t *testing.T, addr string, msgpack bool) *asker {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(client.CloseIdleConnections)
	return &asker{addr, msgpack, client}
}

func (a *asker) ask(keys []string, limit string) (*answer, error) {
	type check struct {
		Key    string   `json:"key" msgpack:"key"`
		Limits []string `json:"limits" msgpack:"limits"`
	}
	var req struct {
		Checks  []check `json:"checks" msgpack:"checks"`
		Timeout int     `json:"timeout_ms" msgpack:"timeout_ms"`
	}
	req.Timeout = 10_000 // the machine may be busy; what counts here is the count
	for _, k := range keys {
		req.Checks = append(req.Checks, check{k, []string{limit}})
	}
	marshal, unmarshal, kind := json.Marshal, json.Unmarshal, "application/json"
	if a.msgpack {
		marshal, unmarshal, kind = msgpack.Marshal, msgpack.Unmarshal, "application/msgpack"
	}
	body, err := marshal(req)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Post("http://"+a.addr+"/v1/check", kind, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != kind {
		return nil, fmt.Errorf("%s %s: %.200s", resp.Status, resp.Header.Get("Content-Type"), b)
	}
	var out answer
	if err := unmarshal(b, &out); err != nil {
		return nil, err
	}
	if len(out.Decisions) != len(keys) {
		return nil, fmt.Errorf("%d decisions for %d checks", len(out.Decisions), len(keys))
	}
	return &out, nil
}

// Sixty keys under 25/1h, hammered from all three nodes at once over JSON and msgpack, singly and in batches: exactly 25 admitted
// for each key, in 20 runs of 20.
func TestExactlyTheLimitFromAllNodes(t *testing.T) {
	const (
		runs, nodes, keysPerRun, limit = 20, 3, 60, 25
		callers                        = 4 // per node and format
	)
	c := cluster(t, nodes)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for run := range runs {
		keys := make([]string, keysPerRun)
		for i := range keys {
			keys[i] = fmt.Sprintf("run%d:key%d", run, i)
		}
		admitted := make([]atomic.Int64, keysPerRun)
		var failed atomic.Int64
		var wg sync.WaitGroup
		for _, addr := range c.Checks() {
			for caller := range 2 * callers {
				a := &asker{addr: addr, msgpack: caller%2 == 1, client: client}
				wg.Add(1)
				go func() {
					defer wg.Done()
					// Each caller asks more than its share, in batches of all keys or of a few.
					for round := range limit / 4 {
						size := keysPerRun
						if (round+caller)%3 == 0 {
							size = 7
						}
						for at := 0; at < keysPerRun; at += size {
							end := min(at+size, keysPerRun)
							got, err := a.ask(keys[at:end], fmt.Sprintf("%d/1h", limit))
							if err != nil {
								t.Error(err)
								return
							}
							for i, d := range got.Decisions {
								if d.Via == "unavailable" {
									failed.Add(1)
								} else if d.Allowed {
									admitted[at+i].Add(1)
								}
							}
						}
					}
				}()
			}
		}
		wg.Wait()
		if n := failed.Load(); n > 0 {
			t.Errorf("run %d: %d checks that nobody could decide", run, n)
		}
		for i := range admitted {
			if got := admitted[i].Load(); got != limit {
				t.Errorf("run %d: %s: %d admitted, want %d", run, keys[i], got, limit)
			}
		}
	}
}

// The same on single checks: every caller asks each key once per request.
func TestExactlyTheLimitOneCheckPerRequest(t *testing.T) {
	const nodes, keys, limit = 3, 10, 25
	c := cluster(t, nodes)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	admitted := make([]atomic.Int64, keys)
	var wg sync.WaitGroup
	for n, addr := range c.Checks() {
		for caller := range 4 {
			a := &asker{addr: addr, msgpack: (caller+n)%2 == 1, client: client}
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range keys * 10 {
					key := i % keys
					got, err := a.ask([]string{fmt.Sprint("single:", key)}, fmt.Sprintf("%d/1h", limit))
					if err != nil {
						t.Error(err)
						return
					}
					if d := got.Decisions[0]; d.Allowed && d.Via != "unavailable" {
						admitted[key].Add(1)
					}
				}
			}()
		}
	}
	wg.Wait()
	for i := range admitted {
		if got := admitted[i].Load(); got != limit {
			t.Errorf("key %d: %d admitted, want %d", i, got, limit)
		}
	}
}
