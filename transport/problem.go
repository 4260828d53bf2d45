package transport

import "fmt"

// A Problem is bad input: an application/problem+json answer (RFC 9457). Nothing was spent.
type Problem struct {
	Status int    // HTTP status, 400 to 499
	Title  string // the status in words
	Detail string // what is wrong, with what, and what to do
	Check  int    // index of the bad check, -1 where it is the request as a whole
}

func (p *Problem) Error() string {
	if p.Check >= 0 {
		return fmt.Sprintf("checks[%d]: %s", p.Check, p.Detail)
	}
	return p.Detail
}
