package policy

import (
	"net/http"
	"strconv"

	"github.com/stint-limiter/stint/transport"
)

// An Answer is what the policy sends for a decided plan. It may be used again; the memory of its body is its own, so
// that is good until then. The zero Answer is ready to use.
type Answer struct {
	Allowed bool
	Rule    string // the deciding rule
	Status  int    // 200 where allowed
	Headers []Header
	Body    []byte // nil where allowed
	// Decision is the deciding one, and By its limit; nil where no rule matched or nobody could decide.
	Decision *transport.Decision
	By       *transport.Limit

	text []byte // of all header values
	ends []int  // of each in text
	body []byte
}

// A Header is one line of an answer.
type Header struct{ Name, Value string }

func (a *Answer) reset() {
	*a = Answer{Allowed: true, Status: http.StatusOK, Headers: a.Headers[:0], text: a.text[:0], ends: a.ends[:0], body: a.body[:0]}
}

// put adds a header whose value is still to come.
func (a *Answer) put(name string) {
	a.Headers = append(a.Headers, Header{Name: name})
}

// end says that the value of the last header put is complete in a.text.
func (a *Answer) end() { a.ends = append(a.ends, len(a.text)) }

// fillIn makes strings of the values: one allocation for all of them.
func (a *Answer) fillIn() {
	text, from := string(a.text), 0
	for i, to := range a.ends {
		a.Headers[i].Value = text[from:to]
		from = to
	}
}

// appendQuota appends the body of a denial that has none of its own: the problem type that draft-ietf-httpapi-ratelimit-headers
// registers, with the limits that denied.
func appendQuota(b []byte, status int, names func([]byte) []byte) []byte {
	b = append(b, `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"violated-policies":[`...)
	b = names(b)
	return append(b, `]}`...)
}

// appendUndecided appends the body where nobody could decide.
func appendUndecided(b []byte) []byte {
	p := transport.Problem{Status: http.StatusServiceUnavailable, Detail: "nobody can say now whether this request is within its limits; try again in a moment", Check: -1}
	return p.AppendJSON(b)
}
