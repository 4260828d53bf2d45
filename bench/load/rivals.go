package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Gubernator is the dialect of gubernator's HTTP gateway: POST /v1/GetRateLimits. Its TOKEN_BUCKET gives all hits back at once, an hour after
// a key's first check, so nothing comes back during a run.
var Gubernator Dialect = gubernator{}

// Ratelimit is the dialect of envoyproxy/ratelimit's POST /json. Its limits are in its configuration (see [RatelimitConfig]), one descriptor a
// COUNT, per day, as windows of an hour may end during a run.
var Ratelimit Dialect = ratelimit{}

// onlyPlain is the answer to workloads that need more than one limit of one algorithm.
func onlyPlain(who string, w *Workload) error {
	if w.Plain() {
		return nil
	}
	return Unable(fmt.Sprintf("%s: %s has no several limits and algorithms in one check", w.Name, who))
}

type gubernator struct{}

var gubernatorFrame = &frame{path: "/v1/GetRateLimits", contentType: "application/json", begin: `{"requests":[`, between: ",", end: "]}"}

func gubernatorPart(prefix string, count uint32, hits string) part {
	var p part
	b := []byte(`{"name":"bench","unique_key":"` + prefix + "00000000")
	p.digits = len(b) - digits
	b = append(b, `","hits":`...)
	p.hits = len(b)
	b = append(b, hits...)
	p.bytes = append(b, `,"limit":`+strconv.FormatUint(uint64(count), 10)+`,"duration":3600000}`...)
	return p
}

func (gubernator) request(host, prefix string, w *Workload) (*Request, error) {
	if err := onlyPlain("gubernator", w); err != nil {
		return nil, err
	}
	return gubernatorFrame.request(host, gubernatorPart(prefix, w.Count(), "1"), w.Batch), nil
}

func (gubernator) spend(host, prefix string, _ []string, count uint32) *Request {
	r := gubernatorFrame.request(host, gubernatorPart(prefix, count, textHits), 1)
	r.text = true
	return r
}

func (gubernator) scan(body []byte, replies []Reply, _ *Shares) (int, error) {
	return scanText(body, `"status"`, replies, func(value, one []byte) Reply {
		if text, ok := textAfter(one, `"error"`); ok && len(text) > 0 {
			return Failed
		}
		return verdictOf(value, "UNDER_LIMIT", "OVER_LIMIT")
	})
}

func (gubernator) read(body []byte, replies []Reply) error {
	var a struct {
		Responses []struct{ Status, Error string }
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	read := make([]Reply, len(a.Responses))
	for i, r := range a.Responses {
		if r.Error == "" {
			read[i] = verdictOf([]byte(r.Status), "UNDER_LIMIT", "OVER_LIMIT")
		}
	}
	return compare(replies, read)
}

func (gubernator) answer(status int) bool { return status == 200 }

type ratelimit struct{}

// The name of a descriptor says its COUNT.
const (
	ratelimitDomain = "bench"
	ratelimitKey    = "count"
)

// RatelimitConfig returns the configuration that envoyproxy/ratelimit needs for all workloads that it can be asked for.
func RatelimitConfig() []byte {
	var b bytes.Buffer
	b.WriteString("domain: " + ratelimitDomain + "\ndescriptors:\n")
	seen := map[uint32]bool{}
	for _, w := range workloads {
		if !w.Plain() || seen[w.Count()] {
			continue
		}
		seen[w.Count()] = true
		fmt.Fprintf(&b, "  - key: %s%d\n    rate_limit: {unit: day, requests_per_unit: %d}\n", ratelimitKey, w.Count(), w.Count())
	}
	return b.Bytes()
}

// ratelimitRequest returns a request whose checks are descriptors, hits for each.
func ratelimitRequest(host, prefix string, count uint32, checks int, hits string) *Request {
	f := frame{
		path: "/json", contentType: "application/json", between: ",", end: "]}",
		begin: `{"domain":"` + ratelimitDomain + `","hits_addend":` + hits + `,"descriptors":[`,
	}
	var p part
	b := []byte(`{"entries":[{"key":"` + ratelimitKey + strconv.FormatUint(uint64(count), 10) + `","value":"` + prefix + "00000000")
	p.digits = len(b) - digits
	p.bytes = append(b, `"}]}`...)
	r := f.request(host, p, checks)
	r.text = true
	r.hits = bytes.Index(r.bytes, []byte(`"hits_addend":`)) + len(`"hits_addend":`)
	return r
}

func (ratelimit) request(host, prefix string, w *Workload) (*Request, error) {
	if err := onlyPlain("envoyproxy/ratelimit", w); err != nil {
		return nil, err
	}
	return ratelimitRequest(host, prefix, w.Count(), w.Batch, "1"), nil
}

func (ratelimit) spend(host, prefix string, _ []string, count uint32) *Request {
	return ratelimitRequest(host, prefix, count, 1, textHits)
}

// The whole answer has an overallCode, each status a code.
func (ratelimit) scan(body []byte, replies []Reply, _ *Shares) (int, error) {
	return scanText(body, `"code"`, replies, func(value, _ []byte) Reply { return verdictOf(value, "OK", "OVER_LIMIT") })
}

func (ratelimit) read(body []byte, replies []Reply) error {
	var a struct{ Statuses []struct{ Code string } }
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	read := make([]Reply, len(a.Statuses))
	for i, s := range a.Statuses {
		read[i] = verdictOf([]byte(s.Code), "OK", "OVER_LIMIT")
	}
	return compare(replies, read)
}

// answer: 429 says that one of the checks at least was denied.
func (ratelimit) answer(status int) bool { return status == 200 || status == 429 }

func verdictOf(word []byte, admitted, denied string) Reply {
	switch string(word) {
	case admitted:
		return Admitted
	case denied:
		return Denied
	}
	return Failed
}

// scanText finds the values of a field of JSON, whose name is given with its quotes, and has each turned into a reply, together with all that
// comes before the next. Nothing else in the answers has these bytes: keys are ours.
func scanText(body []byte, field string, replies []Reply, reply func(value, one []byte) Reply) (int, error) {
	n := 0
	name := []byte(field)
	i := bytes.Index(body, name)
	for i >= 0 {
		if n == len(replies) {
			return n, fmt.Errorf("more decisions than the %d checks", n)
		}
		one := body[i:]
		body = one[len(name):]
		if i = bytes.Index(body, name); i >= 0 {
			one = one[:len(name)+i]
		}
		value, ok := textAfter(one, field)
		if !ok {
			return n, fmt.Errorf("decision %d has %s without a text", n, field)
		}
		replies[n] = reply(value, one)
		n++
	}
	return n, nil
}

// textAfter returns the text that is the value of a field of JSON.
func textAfter(b []byte, field string) ([]byte, bool) {
	i := bytes.Index(b, []byte(field))
	if i < 0 {
		return nil, false
	}
	b = bytes.TrimLeft(b[i+len(field):], ": \n\t")
	if len(b) == 0 || b[0] != '"' {
		return nil, false
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 {
		return nil, false
	}
	return b[1 : 1+end], true
}
