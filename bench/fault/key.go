package fault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
)

// A Key is a caller to be limited, in one limit.
type Key struct {
	Name  string
	Count uint32
	Limit string // as it is sent
	// At is its place among all keys of a load; see Load.Keys.
	At int

	one []byte // the request for one hit, head and body
}

const (
	few = 10 // a COUNT that keeps the time of each hit; it is reached in the first seconds
	// Two that are never reached under load alone; the lines of the one count in bytes, of the other in more.
	many, most = 5_000, 70_000
	// lent is the least COUNT of a limit whose hits are lent.
	lent = 1_000
)

// algorithms are what follows COUNT. The windows outlast any scenario: those aligned to the epoch end every 360 days, and a
// token bucket of the largest COUNT gets a hit back in seven minutes.
var algorithms = [...]string{"/1h", "/360d fixed_window", "/366d token_bucket"}

// newKeys returns n keys whose names begin with prefix. A quarter of them reach their limit at once, a quarter
// at about the hits that the caller names, and half not before Finish.
func newKeys(prefix string, n int, mid uint32, at int) []*Key {
	counts := [...]uint32{few, max(mid, few+1), many, most}
	var keys []*Key
	for i := range n {
		k := &Key{Name: prefix + strconv.Itoa(i), Count: counts[i%len(counts)], At: at + i}
		k.Limit = strconv.FormatUint(uint64(k.Count), 10) + algorithms[i%len(algorithms)]
		k.one = k.request(1)
		keys = append(keys, k)
	}
	return keys
}

// A check as it is sent. Half of the keys go in msgpack, half in JSON.
type check struct {
	Key    string   `msgpack:"key" json:"key"`
	Limits []string `msgpack:"limits" json:"limits"`
	Hits   uint32   `msgpack:"hits" json:"hits"`
}

type checks struct {
	Checks []check `msgpack:"checks" json:"checks"`
}

// request encodes a POST of one check of so many hits.
func (k *Key) request(hits uint32) []byte {
	body := checks{[]check{{k.Name, []string{k.Limit}, hits}}}
	encode, kind := msgpack.Marshal, msgpackType
	if k.At/2%2 == 1 { // not by the last bit, which the count goes by
		encode, kind = json.Marshal, "application/json"
	}
	b, err := encode(body)
	if err != nil {
		panic(err) // strings and a number
	}
	head := fmt.Sprintf("%s /v1/check HTTP/1.1\r\nHost: stint\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", http.MethodPost, kind, len(b))
	return append([]byte(head), b...)
}

const msgpackType = "application/msgpack"
