package load

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// body returns the JSON of a request as a server would read it.
func body(t *testing.T, r *http.Request, v any) {
	t.Helper()
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Errorf("%s: %v", r.URL, err)
	}
}

type gubernatorRequests struct {
	Requests []struct {
		Name, Unique_key      string
		Hits, Limit, Duration int64
	}
}

type ratelimitRequests struct {
	Domain      string
	Hits_addend int64
	Descriptors []struct {
		Entries []struct{ Key, Value string }
	}
}

// counter counts hits by key, up to a limit.
type counter struct {
	sync.Mutex
	spent map[string]int64
}

func (c *counter) take(key string, hits, limit int64) bool {
	c.Lock()
	defer c.Unlock()
	if c.spent[key]+hits > limit {
		return false
	}
	c.spent[key] += hits
	return true
}

// fakeGubernator answers as gubernator's gateway does.
func fakeGubernator(t *testing.T) (addr string) {
	c := counter{spent: map[string]int64{}}
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		var q gubernatorRequests
		body(t, r, &q)
		var answers []string
		for _, x := range q.Requests {
			status := "OVER_LIMIT"
			if c.take(x.Unique_key, x.Hits, x.Limit) {
				status = "UNDER_LIMIT"
			}
			answers = append(answers, `{"status":"`+status+`", "limit":"100", "remaining":"0", "reset_time":"1795334400000", "error":"", "metadata":{"owner":"127.0.0.1:81"}}`)
		}
		w.Write([]byte(`{"responses":[` + strings.Join(answers, ", ") + `]}`))
	})
}

// fakeRatelimit answers as envoyproxy/ratelimit does: 429 where one is over its limit; long answers come in chunks.
func fakeRatelimit(t *testing.T) (addr string) {
	c := counter{spent: map[string]int64{}}
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		var q ratelimitRequests
		body(t, r, &q)
		overall := "OK"
		var answers []string
		for _, d := range q.Descriptors {
			code := "OVER_LIMIT"
			if q.Domain == "bench" && d.Entries[0].Key == "count100" && c.take(d.Entries[0].Value, q.Hits_addend, 100) {
				code = "OK"
			} else {
				overall = code
			}
			answers = append(answers, `{"code": "`+code+`", "currentLimit":{"requestsPerUnit":100, "unit":"DAY"}, "durationUntilReset":"5s"}`)
		}
		w.Header().Set("Content-Type", "application/json")
		if overall != "OK" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		w.Write([]byte(`{"overallCode":"` + overall + `", "statuses":[` + strings.Join(answers, ",") + `]}`))
	})
}

func listen(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// The whole way of a session over each dialect, in answers short and long enough to come in chunks.
func TestRivalsAreCountedRight(t *testing.T) {
	for name, target := range map[string]HTTP{
		"gubernator": {Addrs: []string{fakeGubernator(t)}, Speaks: Gubernator},
		"ratelimit":  {Addrs: []string{fakeRatelimit(t)}, Speaks: Ratelimit},
	} {
		for _, batch := range []int{1, 100} {
			w, err := NewWorkload("over", batch, 2, 1)
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewSession(target, w, strings.Repeat("p", batch)+"/", 2)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; n < 150; n += batch {
				for _, c := range s.callers {
					c.ask(s.Account)
					if c.err != nil {
						t.Fatalf("%s, batches of %d: %v", name, batch, c.err)
					}
				}
			}
			// 150 or 200 of each key are asked for; what is bulk is asked for in one check.
			for _, hits := range []uint32{7, 1_000_000_000} {
				if r, err := s.callers[0].Caller.(spender).Spend(0, hits, w.Terms[0].Limits); r != Denied || err != nil {
					t.Errorf("%s: %d hits beyond the limit: %v, %v", name, hits, r, err)
				}
			}
			s.Close()
			if v := s.Verdict(); !v.Exact() || v.Admitted != 200 || v.Failed != 0 {
				t.Errorf("%s, batches of %d: %+v", name, batch, v)
			}
		}
		mixed, _ := NewWorkload("mixed", 1, 1, 1)
		var unable Unable
		if _, err := NewSession(target, mixed, "p/", 1); !errors.As(err, &unable) {
			t.Errorf("%s was asked for several limits: %v", name, err)
		}
	}
}

func TestScanOfRivals(t *testing.T) {
	for _, c := range []struct {
		of   Dialect
		body string
		want []Reply
	}{
		{Gubernator, `{"responses":[]}`, nil},
		{Gubernator, `{"responses":[{"status":"UNDER_LIMIT","error":"no peers"},{"status" : "OVER_LIMIT","error":""}]}`, []Reply{Failed, Denied}},
		{Ratelimit, `{"overallCode":"OK","statuses":[{"code":"OK"},{"code":"UNKNOWN"},{"code": "OVER_LIMIT"}]}`, []Reply{Admitted, Failed, Denied}},
	} {
		got := make([]Reply, len(c.want))
		n, err := c.of.scan([]byte(c.body), got, nil)
		if err != nil || n != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %d, %v, %v", c.body, n, got, err)
		}
		if err := c.of.read([]byte(c.body), got); err != nil {
			t.Errorf("%s: read by the book: %v", c.body, err)
		}
		if len(got) > 0 {
			got[0] = Admitted + 1
			if c.of.read([]byte(c.body), got) == nil {
				t.Errorf("%s: a scan that was wrong was not found out", c.body)
			}
		}
	}
	for _, bad := range []string{`{"code":5}`, `{"code":"OK`, `{"code"`, `{"code":"OK"},{"code":"OK"}`} {
		if n, err := Ratelimit.scan([]byte(bad), make([]Reply, 1), nil); err == nil {
			t.Errorf("%s was taken for %d decisions", bad, n)
		}
	}
}

func TestRatelimitConfigHasAllCounts(t *testing.T) {
	config := string(RatelimitConfig())
	for _, w := range workloads {
		if w.Plain() && !strings.Contains(config, w.Terms[0].Limits[0][:len(w.Terms[0].Limits[0])-len("/1h")]+"\n") {
			t.Errorf("%s is missing in\n%s", w.Name, config)
		}
	}
}
