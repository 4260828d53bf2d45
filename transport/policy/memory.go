package policy

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A memory is a whole cluster for the trying out of policies: one partition, and a clock that stands still until it is
// moved. The buckets are the real ones. It is for one goroutine.
type memory struct {
	now    bucket.Instant
	table  *bucket.Table
	hasher bucket.Hasher
	wants  []bucket.Want
}

var _ transport.Checker = (*memory)(nil)

func newMemory(now bucket.Instant) *memory {
	m := &memory{now: now, table: bucket.NewTable(bucket.Config{Partitions: 1, MaxLines: 1 << 16}), hasher: bucket.NewHasher(nil)}
	m.table.Partition(0).SetState(bucket.Open, 1)
	return m
}

// Check decides every check of the request, in order.
func (m *memory) Check(r *transport.Request) {
	r.Decisions = r.Decisions[:0]
	for i := range r.Checks {
		r.Decisions = append(r.Decisions, m.decide(&r.Checks[i]))
	}
}

func (m *memory) decide(c *transport.Check) (d transport.Decision) {
	key := m.hasher.Key(c.Key)
	m.wants = m.wants[:0]
	for i := range c.Limits {
		l := &c.Limits[i]
		m.wants = append(m.wants, bucket.Want{ID: key.ID(l.Window, l.Scope), Limit: l.Limit, Shadow: l.Shadow, CountDenied: l.CountDenied})
	}
	if c.Each {
		d.Each = make([]bucket.State, len(c.Limits))
	}
	var err error
	if p := m.table.Partition(0); c.Hits < 0 {
		err = p.Give(m.now, m.wants, uint32(-c.Hits), c.Receipt, &d.Outcome)
	} else {
		err = p.Take(m.now, m.wants, uint32(c.Hits), &d.Outcome)
	}
	if err != nil || d.Full {
		d.By, d.Via, d.Allowed = -1, transport.ViaUnavailable, c.Unavailable != transport.Deny
	}
	return d
}
