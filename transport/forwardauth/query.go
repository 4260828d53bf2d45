package forwardauth

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
)

// options are what the proxy's configuration put in the query. It is written once by an operator, so whatever is odd
// about it is refused: a typo that passed in silence would surface as a limit that does not deny.
type options struct {
	policy     string
	denyStatus int // 0: the policy's
	denial     bool
	timeout    time.Duration
}

func readOptions(query *fasthttp.Args) (options, error) {
	o := options{timeout: transport.DefaultTimeout}
	var seen [4]bool
	for name, value := range query.All() {
		var i int
		var err error
		switch string(name) {
		case "policy":
			i, o.policy = 0, string(value)
			if o.policy == "" {
				err = errors.New("policy is empty; name one or leave it out")
			}
		case "deny_status":
			i = 1
			o.denyStatus, err = strconv.Atoi(string(value))
			if err != nil || o.denyStatus < 400 || o.denyStatus > 599 {
				err = fmt.Errorf("deny_status is %s; it goes from 400 to 599, and nginx understands 401 and 403", door.Quote(value))
			}
		case "denial":
			i = 2
			switch string(value) {
			case "1":
				o.denial = true
			case "0":
			default:
				err = fmt.Errorf("denial is %s; it is 1 or 0", door.Quote(value))
			}
		case "timeout_ms":
			i = 3
			ms, bad := strconv.ParseInt(string(value), 10, 64)
			if bad != nil {
				err = fmt.Errorf("timeout_ms is %s; it goes from 1 to 10000", door.Quote(value))
			} else {
				o.timeout, err = door.Timeout(ms)
			}
		default:
			err = fmt.Errorf("unknown parameter %s; known: policy, deny_status, denial, timeout_ms", door.Quote(name))
		}
		if err == nil && seen[i] {
			err = fmt.Errorf("%s is there twice", name)
		}
		if err != nil {
			return o, err
		}
		seen[i] = true
	}
	return o, nil
}
