package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/mail"
)

// Every acknowledgement that was not dropped is posted once, to whom it is for, in order, and none in a message that is too long.
func TestAcksGather(t *testing.T) {
	got := map[string][]hold.Ack{}
	messages := 0
	a := acks{post: func(to string, m *hold.Acks) {
		if n := len(m.List); n == 0 || n > mail.MaxAcks {
			t.Errorf("a message of %d acknowledgements", n)
		}
		messages++
		got[to] = append(got[to], m.List...)
	}}
	want := map[string][]hold.Ack{}
	add := func(to string, round uint64) {
		x := hold.Ack{Part: hold.Part(round), Round: round}
		a.add(to, &hold.Acks{List: []hold.Ack{x}})
		want[to] = append(want[to], x)
	}
	a.flush()
	for r := range uint64(300) {
		add("n1", r)
	}
	for r := range uint64(4) {
		add(fmt.Sprintf("n%d", r%2+1), 300+r)
	}
	a.flush()
	a.flush()
	if messages != 3+3 { // 128, 128, 44 and the first of the four; the other three alone
		t.Errorf("%d messages", messages)
	}
	a.add("n1", &hold.Acks{List: []hold.Ack{{Part: 9, Round: 999}}})
	a.drop()
	a.flush()
	for _, to := range []string{"n1", "n2"} {
		if !slices.Equal(got[to], want[to]) {
			t.Errorf("%s: %d of %d acknowledgements", to, len(got[to]), len(want[to]))
		}
	}
}
