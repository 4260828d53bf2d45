package load

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// A Dialect is how a kind of server is asked over HTTP, and what it answers.
type Dialect interface {
	// request returns the request for the checks of a workload, or an error that is Unable.
	request(host, prefix string, w *Workload) (*Request, error)
	// spend returns a request of one check under these limits, of which the first has this count, whose hits can be set.
	spend(host, prefix string, limits []string, count uint32) *Request
	// scan finds the replies in the body of an answer, fast, and returns how many there were.
	scan(body []byte, replies []Reply, via *Shares) (int, error)
	// read reads an answer by the book and compares it with what the scan made of it.
	read(body []byte, replies []Reply) error
	// answer reports whether there is an answer in a response of this status.
	answer(status int) bool
}

// Unable is why a server cannot be asked for a workload: it does not know what the workload is about. That is no failure.
type Unable string

func (u Unable) Error() string { return string(u) }

// stint is the dialect of Stint and the echo.
type stint struct{}

func (stint) request(host, prefix string, w *Workload) (*Request, error) {
	return newWorkloadRequest(host, prefix, w), nil
}

func (stint) spend(host, prefix string, limits []string, _ uint32) *Request {
	return newSpend(host, prefix, limits)
}

func (stint) scan(body []byte, replies []Reply, via *Shares) (int, error) {
	return Scan(body, replies, via)
}

func (stint) read(body []byte, replies []Reply) error { return readInFull(body, replies) }

func (stint) answer(status int) bool { return status == 200 }

// readInFull decodes an answer by the book and compares it with what the scan made of it.
func readInFull(body []byte, replies []Reply) error {
	var answer struct {
		Decisions []struct {
			Allowed bool   `msgpack:"allowed"`
			Via     string `msgpack:"via"`
		} `msgpack:"decisions"`
	}
	if err := msgpack.Unmarshal(body, &answer); err != nil {
		return err
	}
	want := make([]Reply, len(answer.Decisions))
	for i, d := range answer.Decisions {
		switch {
		case d.Via == Vias[viaFull] || d.Via == Vias[viaUnavailable]:
			want[i] = Failed
		case d.Allowed:
			want[i] = Admitted
		default:
			want[i] = Denied
		}
	}
	return compare(replies, want)
}

// compare returns an error where the scan's replies are not those that were read by the book.
func compare(scanned, read []Reply) error {
	if len(read) != len(scanned) {
		return fmt.Errorf("%d decisions for %d checks", len(read), len(scanned))
	}
	for i := range read {
		if scanned[i] != read[i] {
			return fmt.Errorf("decision %d was scanned as %d and is %d", i, scanned[i], read[i])
		}
	}
	return nil
}
