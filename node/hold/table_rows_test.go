package hold_test

import "github.com/stint-limiter/stint/node/hold"

// The state table, by what happens: waking and hearsay, copies, handoffs, rounds.

func nothing(b *bench) []string { return nil }

func late(b *bench) []string {
	b.now += 101 * ms
	return b.do(hold.Tick{})
}

func says(name string, m hold.Message) func(b *bench) []string {
	return func(b *bench) []string { return b.from(name, m) }
}

var hearsay = []row{
	{"a check", "none", nothing, "", "none, forward a"},
	{"a check", "copy", nothing, "", "copy, forward a"},
	{"a check", "held", nothing, "", "held, here"},
	{"a check", "unsure", nothing, "", "held, wait"},
	{"a check", "frozen", nothing, "", "frozen, wait"},
	{"a check", "returning", nothing, "", "returning, forward c"},

	{"the tick is too old", "none", late, "woke", "none, forward a"},
	{"the tick is too old", "copy", late, "woke", "copy, forward a"},
	{"the tick is too old", "held", late, "woke; freeze; a: ask 3 against 1 by b; c: ask 3 against 1 by b", "held, wait"},
	{"the tick is too old", "frozen", late, "woke; a: ask 3 against 2 by c in flight; c: ask 3 against 2 by c in flight", "frozen, wait"},
	{"the tick is too old", "returning", late, "woke; c: return to 3 by c", "returning, forward c"},
	{"the tick is too old, says a message", "held", func(b *bench) []string {
		b.now += 101 * ms
		return b.from("c", &hold.Holds{Hold: by("c", 3)})
	}, "woke; freeze; a: ask 3 against 1 by b; c: ask 3 against 1 by b", "held, wait"},

	{"a higher hold", "none", says("c", &hold.Holds{Hold: by("c", 3)}), "", "none, forward c"},
	{"a higher hold", "copy", says("c", &hold.Holds{Hold: by("c", 3)}), "", "copy, forward c"},
	{"a higher hold", "held", says("c", &hold.Holds{Hold: by("c", 3)}), "shut for 3 by c; c: return to 3 by c", "returning, forward c"},
	{"a higher hold", "unsure", says("c", &hold.Holds{Hold: by("c", 3)}), "a: release; c: release; shut for 3 by c; c: return to 3 by c", "returning, forward c"},
	{"a higher hold, my flip", "frozen", says("c", &hold.Holds{Hold: by("c", 2)}), "shut, gave to 2 by c", "copy, forward c"},
	{"a higher hold, not my flip", "frozen", says("a", &hold.Holds{Hold: by("a", 3)}), "shut for 3 by a; a: return to 3 by a", "returning, forward a"},
	{"a higher hold of the same member, not my flip", "frozen", says("c", &hold.Holds{Hold: by("c", 3)}), "shut for 3 by c; c: return to 3 by c", "returning, forward c"},
	{"a higher hold", "returning", says("a", &hold.Holds{Hold: by("a", 5)}), "a: return to 5 by a", "returning, forward a"},
	{"a lower hold", "returning", says("a", &hold.Holds{Hold: by("a", 1)}), "a: holds 3 by c", "returning, forward c"},
	{"a lower hold", "held", says("a", &hold.Holds{Hold: hold.Hold{Epoch: 1, Start: 1, Name: "a"}}), "a: holds 1 by b", "held, here"},

	{"nobody serves there any more", "none", func(b *bench) []string {
		b.gone["a"], b.members, b.home = 1, b.members[1:], "b"
		return b.view()
	}, "c: ask 3 against 1 by a", "none, wait"},
	{"its name was started anew", "none", func(b *bench) []string {
		b.home = "b"
		b.view()
		return b.do(hold.Received{From: "a", Start: 9, Message: &hold.Who{}})
	}, "a: holds 1 by a", "none, failover b"},
	{"a check failed", "none", func(b *bench) []string { return b.do(hold.CheckFailed{Epoch: 1}) }, "a: ask 3 against 1 by a; c: ask 3 against 1 by a", "none, wait"},
	{"a check failed at an earlier holder", "returning", func(b *bench) []string { return b.do(hold.CheckFailed{Epoch: 1}) }, "", "returning, forward c"},
	{"a check failed", "held", func(b *bench) []string { return b.do(hold.CheckFailed{Epoch: 1}) }, "", "held, here"},
	{"a check failed", "frozen", func(b *bench) []string { return b.do(hold.CheckFailed{Epoch: 1}) }, "", "frozen, wait"},
}

func whole(name string, epoch, seq uint64) *hold.Backup {
	return &hold.Backup{Hold: by(name, epoch), Seq: seq, Round: 10}
}

func since(name string, epoch, base, seq uint64) *hold.Backup {
	return &hold.Backup{Hold: by(name, epoch), Base: hold.Version{Epoch: epoch, Start: startOf(name), Seq: base}, Seq: seq, Round: 10}
}

var copies = []row{
	{"a backup", "none", says("a", whole("a", 1, 4)), "store; a: stored", "copy, forward a"},
	{"a newer backup", "copy", says("a", whole("a", 1, 6)), "store; a: stored", "copy, forward a"},
	{"a backup twice", "copy", says("a", whole("a", 1, 5)), "a: stored", "copy, forward a"},
	{"changes to the copy", "copy", says("a", since("a", 1, 5, 6)), "store; a: stored", "copy, forward a"},
	{"changes to another copy", "copy", says("a", since("a", 1, 6, 7)), "a: does not store: not base", "copy, forward a"},
	{"changes to a copy", "none", says("a", since("a", 1, 5, 6)), "a: does not store: not base", "none, forward a"},
	{"a backup of a later holder", "copy", says("c", whole("c", 3, 1)), "store; c: stored", "copy, forward c"},
	{"a backup of a later holder", "held", says("c", whole("c", 3, 1)), "shut for 3 by c; c: return to 3 by c; c: does not store: lower", "returning, forward c"},
	{"a backup of an earlier holder", "held", says("a", whole("a", 1, 1)), "a: does not store: lower", "held, here"},
	{"a backup of an earlier holder", "frozen", says("a", whole("a", 1, 1)), "a: does not store: lower", "frozen, wait"},
	{"a backup", "returning", says("c", whole("c", 3, 1)), "c: does not store: lower", "returning, forward c"},
	{"a backup that does not fit", "none", func(b *bench) []string {
		return b.do(hold.Received{From: "a", Start: 1, Message: whole("a", 1, 4)})
	}, "a: does not store: no room", "none, forward a"},

	{"a drop", "copy", says("a", &hold.Drop{Hold: by("a", 1), Seq: 5, Round: 9, Keeper: "c"}), "clear", "none, forward a"},
	{"a drop of an older copy", "copy", says("a", &hold.Drop{Hold: by("a", 1), Seq: 4, Round: 9, Keeper: "c"}), "", "copy, forward a"},
	{"a drop that comes late", "copy", says("a", &hold.Drop{Hold: by("a", 1), Seq: 5, Round: 8, Keeper: "c"}), "", "copy, forward a"},
	{"a drop", "held", says("a", &hold.Drop{Hold: by("a", 1), Seq: 5, Keeper: "c"}), "", "held, here"},
	{"a drop of a later holder", "returning", says("c", &hold.Drop{Hold: by("c", 3), Seq: 5, Keeper: "a"}), "", "returning, forward c"},

	{"changes are due", "held", func(b *bench) []string {
		return b.do(hold.BackupDue{Seq: func(int) uint64 { return 1 }})
	}, "a: backup, whole", "held, here"},
	{"changes are due", "unsure", func(b *bench) []string {
		return b.do(hold.BackupDue{Seq: func(int) uint64 { return 1 }})
	}, "", "held, wait"},
	{"changes are due", "copy", func(b *bench) []string {
		return b.do(hold.BackupDue{Seq: func(int) uint64 { return 1 }})
	}, "", "copy, forward a"},

	{"a return", "held", says("a", &hold.Return{Hold: by("b", 1), Round: 4}), "absorb; a: returned true", "held, here"},
	{"a return", "unsure", says("a", &hold.Return{Hold: by("b", 1), Round: 4}), "a: returned false", "held, wait"},
	{"a return", "frozen", says("a", &hold.Return{Hold: by("b", 1), Round: 4}), "a: returned false", "frozen, wait"},
	{"a return", "copy", says("c", &hold.Return{Hold: by("a", 1), Round: 4}), "c: returned false", "copy, forward a"},
	{"a return is acknowledged", "returning", func(b *bench) []string {
		return b.from("c", &hold.Returned{Round: asked[*hold.Return](b, "c").Round, OK: true, Hold: by("c", 3)})
	}, "", "copy, forward c"},
	{"a return is not acknowledged", "returning", func(b *bench) []string {
		return b.from("c", &hold.Returned{Round: asked[*hold.Return](b, "c").Round, Hold: by("a", 5)})
	}, "a: return to 5 by a", "returning, forward a"},
	{"what was returned, and a later holder", "returning", func(b *bench) []string {
		b.from("c", &hold.Returned{Round: asked[*hold.Return](b, "c").Round, OK: true, Hold: by("c", 3)})
		return b.from("a", &hold.Holds{Hold: by("a", 5)})
	}, "a: return to 5 by a", "returning, forward a"},
}

// flip is a handoff of a's to b, which has the copy up to change 5.
func flip(h hold.Hold) *hold.Flip {
	return &hold.Flip{From: by("a", 1), Hold: h, History: name(by("a", 1)), Base: hold.Version{Epoch: 1, Start: 1, Seq: 5}, Seq: 7}
}

func home(do func(b *bench) []string) func(b *bench) []string {
	return func(b *bench) []string {
		b.home = "b"
		b.view()
		return do(b)
	}
}

var handoffs = []row{
	{"a flip", "copy", home(says("a", flip(by("b", 2)))), "own 2 by b, handed; a: flipped; a: holds 2 by b; c: holds 2 by b", "held, here"},
	{"a flip", "none", home(says("a", flip(by("b", 2)))), "a: refused not base", "none, forward a"},
	{"a flip of changes to more than is there", "copy", home(says("a", &hold.Flip{Hold: by("b", 2), Base: hold.Version{Epoch: 1, Start: 1, Seq: 6}})), "a: refused not base", "copy, forward a"},
	{"a flip to who is not home", "copy", says("a", flip(by("b", 2))), "a: refused lower", "copy, forward a"},
	{"a leaver's flip to who is not home", "copy", func(b *bench) []string {
		f := flip(by("b", 2))
		f.Leaving = true
		return b.from("a", f)
	}, "own 2 by b, handed; a: flipped; a: holds 2 by b; c: holds 2 by b", "held, here"},
	{"a flip to an earlier run", "copy", home(says("a", flip(hold.Hold{Epoch: 2, Start: 1, Name: "b"}))), "a: refused lower", "copy, forward a"},
	{"a flip that does not fit", "copy", home(func(b *bench) []string {
		return b.do(hold.Received{From: "a", Start: 1, Message: flip(by("b", 2))})
	}), "a: refused no room", "copy, forward a"},
	{"a flip older than what was heard", "copy", home(func(b *bench) []string {
		b.from("c", &hold.Probe{Target: by("b", 1), Epoch: 5})
		return b.from("a", flip(by("b", 2)))
	}), "a: refused not ready", "copy, forward a"},
	{"a flip that was refused", "copy", func(b *bench) []string {
		b.from("a", flip(by("b", 2)))
		b.home = "b"
		b.view()
		return b.from("a", flip(by("b", 2)))
	}, "a: refused not ready", "copy, forward a"},
	{"a flip while leaving", "copy", home(func(b *bench) []string {
		b.do(hold.LeaveNow{})
		return b.from("a", flip(by("b", 2)))
	}), "a: refused lower", "copy, forward a"},
	{"a flip twice", "copy", home(func(b *bench) []string {
		b.from("a", flip(by("b", 2)))
		return b.from("a", flip(by("b", 2)))
	}), "a: flipped", "held, here"},
	{"a flip", "held", says("a", flip(by("b", 2))), "a: refused lower", "held, here"},
	{"a flip", "frozen", says("a", flip(by("b", 2))), "a: refused lower", "frozen, wait"},
	{"a flip", "returning", says("a", flip(by("b", 4))), "a: refused lower", "returning, forward c"},

	{"home is another, which has the whole copy", "held", func(b *bench) []string {
		b.do(hold.BackupDue{Seq: func(int) uint64 { return 5 }})
		b.home = "a"
		k := asked[*hold.Backup](b, "a")
		b.view()
		return b.from("a", &hold.Acks{List: []hold.Ack{{Round: k.Round}}})
	}, "acknowledged; a: holds 1 by b; c: holds 1 by b; freeze; a: flip 2 by a", "frozen, wait"},
	{"the flip is acknowledged", "frozen", func(b *bench) []string {
		return b.from("c", &hold.Flipped{Flip: by("c", 2), OK: true, Hold: by("c", 2)})
	}, "shut, gave to 2 by c", "copy, forward c"},
	{"the flip is refused", "frozen", func(b *bench) []string {
		return b.from("c", &hold.Flipped{Flip: by("c", 2), Code: hold.Lower, Floor: 3})
	}, "unacknowledged; thaw", "held, here"},
	{"the flip is refused, and there is peace for a second", "frozen", func(b *bench) []string {
		b.from("c", &hold.Flipped{Flip: by("c", 2), Code: hold.Lower, Floor: 3})
		return b.wait(900 * ms)
	}, "", "held, here"},
	{"the flip is refused for one that is higher", "frozen", func(b *bench) []string {
		return b.from("c", &hold.Flipped{Flip: by("c", 2), Code: hold.Lower, Hold: by("a", 3), Floor: 3})
	}, "unacknowledged; thaw; shut for 3 by a; a: return to 3 by a", "returning, forward a"},
	{"the flip is not answered", "frozen", func(b *bench) []string { b.now += 40 * ms; return b.do(hold.Beat{}) }, "c: flip 2 by c", "frozen, wait"},
	{"the flip is not answered for long", "frozen", func(b *bench) []string {
		b.wait(120 * ms)
		b.now += 15 * ms
		return b.do(hold.Beat{})
	}, "a: ask 3 against 2 by c in flight; c: ask 3 against 2 by c in flight", "frozen, wait"},
	{"the receiver of the flip started anew", "frozen", func(b *bench) []string {
		b.do(hold.Received{From: "c", Start: 9, Message: &hold.Who{}})
		b.now += 2 * ms
		return b.do(hold.Beat{})
	}, "a: ask 3 against 2 by c in flight; c: ask 3 against 2 by c in flight", "frozen, wait"},
}
