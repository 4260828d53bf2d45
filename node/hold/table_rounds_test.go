package hold_test

import "github.com/stint-limiter/stint/node/hold"

// askOf is a round of another member's.
func askOf(target hold.Hold, epoch uint64) *hold.Ask {
	return &hold.Ask{Round: 4, Target: target, Epoch: epoch}
}

// claiming has b begin a round against a, as 3.
func claiming(do func(b *bench) []string) func(b *bench) []string {
	return func(b *bench) []string {
		b.do(hold.CheckFailed{Epoch: 1})
		return do(b)
	}
}

// answers of a and c to b's round.
func answers(a, c hold.Answer) func(b *bench) []string {
	return func(b *bench) []string {
		a.Round, c.Round = asked[*hold.Ask](b, "a").Round, asked[*hold.Ask](b, "c").Round
		return append(b.from("a", &a), b.from("c", &c)...)
	}
}

// probed has c ask b about a, and a's answer to the probe come.
func probed(p hold.Probed) func(b *bench) []string {
	return func(b *bench) []string {
		b.from("c", askOf(by("a", 1), 3))
		p.ID = asked[*hold.Probe](b, "a").ID
		return b.from("a", &p)
	}
}

var promise = hold.Answer{Verdict: hold.PROMISE}

var rounds = []row{
	{"asked about an earlier hold", "held", says("c", askOf(by("a", 1), 3)), "c: hold", "held, here"},
	{"asked about mine", "held", says("c", askOf(by("b", 1), 3)), "c: hold", "held, here"},
	{"asked about mine", "unsure", says("c", askOf(by("b", 1), 3)), "c: hold", "held, wait"},
	{"asked about mine", "frozen", says("c", askOf(by("b", 1), 3)), "c: hold", "frozen, wait"},
	{"asked about a later hold", "held", says("a", askOf(by("c", 3), 5)), "shut for 3 by c; c: return to 3 by c; c: probe 3 by c", "returning, forward c"},
	{"asked about a hold in flight", "held", func(b *bench) []string {
		k := askOf(by("c", 4), 5)
		k.InFlight = true
		return b.from("a", k)
	}, "c: probe 4 by c", "held, here"},
	{"asked about an earlier hold", "returning", says("a", askOf(by("b", 1), 5)), "a: knows, copy", "returning, forward c"},
	{"asked about an earlier hold", "none", says("c", askOf(hold.Hold{}, 1)), "c: knows", "none, forward a"},

	{"asked", "none", says("c", askOf(by("a", 1), 3)), "a: probe 1 by a", "none, forward a"},
	{"asked, and the target decides", "none", probed(hold.Probed{Yes: true, Hold: by("a", 1)}), "c: reach", "none, forward a"},
	{"asked, and the target decides under a later hold", "none", probed(hold.Probed{Yes: true, Hold: by("a", 3)}), "c: knows", "none, forward a"},
	{"asked, and the target does not decide", "none", probed(hold.Probed{}), "c: promise", "none, forward a"},
	{"asked, and the target claims", "none", probed(hold.Probed{Busy: true}), "c: busy with ", "none, forward a"},
	{"asked, and the target knows of another", "none", probed(hold.Probed{Hold: by("c", 3)}), "c: knows", "none, forward c"},
	{"asked, and the target is silent", "none", func(b *bench) []string {
		b.from("c", askOf(by("a", 1), 3))
		b.wait(80 * ms)
		b.now += 20 * ms
		return b.do(hold.Beat{})
	}, "c: promise", "none, forward a"},
	{"asked, and nobody listens at the target", "none", func(b *bench) []string {
		b.from("c", askOf(by("a", 1), 3))
		return b.do(hold.Unreachable{Name: "a", Start: 1})
	}, "c: promise", "none, forward a"},
	{"asked by the target", "none", says("a", askOf(by("a", 1), 3)), "a: promise", "none, forward a"},
	{"asked, with a copy", "copy", says("a", askOf(by("a", 1), 3)), "a: promise, copy", "copy, forward a"},
	{"asked by the holder", "returning", says("c", askOf(by("c", 3), 5)), "c: promise, copy", "returning, forward c"},
	{"asked by two", "none", func(b *bench) []string {
		b.from("a", askOf(by("a", 1), 3))
		return b.from("c", askOf(by("a", 1), 3))
	}, "c: busy with a", "none, forward a"},
	{"asked by two, and the first gave way", "none", func(b *bench) []string {
		b.from("a", askOf(by("a", 1), 3))
		b.from("a", &hold.Release{Epoch: 3})
		return b.from("c", askOf(by("a", 1), 3))
	}, "a: probe 1 by a", "none, forward a"},
	{"asked by two, and the first has claimed", "none", func(b *bench) []string {
		b.from("a", askOf(by("a", 1), 3))
		b.from("a", &hold.Holds{Hold: by("a", 3)})
		return b.from("c", askOf(by("a", 3), 5))
	}, "a: probe 3 by a", "none, forward a"},
	{"asked by a round that has ended", "none", func(b *bench) []string {
		b.from("a", &hold.Release{Epoch: 3})
		return b.from("a", askOf(by("a", 1), 3))
	}, "a: busy with ", "none, forward a"},
	{"asked by a higher name while claiming", "none", claiming(says("c", askOf(by("a", 1), 3))), "c: busy with b", "none, wait"},
	{"asked by the target while claiming", "none", claiming(says("a", askOf(by("a", 1), 3))), "a: release; c: release; a: promise", "none, forward a"},

	{"probed", "held", says("c", &hold.Probe{Target: by("b", 1), Epoch: 3}), "c: probed true", "held, here"},
	{"probed", "frozen", says("c", &hold.Probe{Target: by("b", 1), Epoch: 3}), "c: probed true", "frozen, wait"},
	{"probed", "copy", says("c", &hold.Probe{Target: by("b", 1), Epoch: 3}), "c: probed false", "copy, forward a"},

	{"the round finds the holder", "none", claiming(answers(hold.Answer{Verdict: hold.HOLD, Hold: by("a", 1)}, promise)), "a: release; c: release", "none, forward a"},
	{"the round finds a later holder", "none", claiming(answers(promise, hold.Answer{Verdict: hold.KNOWS, Hold: by("c", 3)})), "a: release; c: release", "none, forward c"},
	{"the round finds who reaches the holder", "none", claiming(answers(promise, hold.Answer{Verdict: hold.REACH, Hold: by("a", 1)})), "a: release; c: release", "none, through c"},
	{"the round finds another claimer", "none", claiming(answers(promise, hold.Answer{Verdict: hold.BUSY, By: "c"})), "a: release; c: release", "none, forward a"},
	{"the round finds nobody, nor a copy", "none", claiming(answers(promise, promise)), "own 3 by b, reset; a: holds 3 by b; c: holds 3 by b", "held, here"},
	{"the round finds nobody", "copy", claiming(answers(promise, promise)), "own 3 by b, copied; a: holds 3 by b; c: holds 3 by b", "held, here"},
	{"the round finds a floor", "copy", claiming(answers(promise, hold.Answer{Verdict: hold.PROMISE, Floor: 6})), "own 7 by b, copied; a: holds 7 by b; c: holds 7 by b", "held, here"},
	{"the round finds a newer copy", "none", claiming(answers(promise, hold.Answer{Verdict: hold.PROMISE, Copy: hold.Version{Epoch: 1, Start: 1, Seq: 5}})), "c: nominate 3", "none, forward a"},
	{"the round finds an older copy", "copy", claiming(answers(promise, hold.Answer{Verdict: hold.PROMISE, Copy: hold.Version{Epoch: 1, Start: 1, Seq: 4}})), "own 3 by b, copied; a: holds 3 by b; c: holds 3 by b", "held, here"},
	{"the round ends by its time", "copy", claiming(func(b *bench) []string {
		b.from("c", &hold.Answer{Round: asked[*hold.Ask](b, "c").Round, Verdict: hold.PROMISE})
		b.wait(120 * ms)
		b.now += 10 * ms
		return b.do(hold.Beat{})
	}), "own 3 by b, copied; a: holds 3 by b; c: holds 3 by b", "held, here"},
	{"the round of the woken holder finds nobody", "unsure", answers(promise, promise), "own 3 by b, resumed; a: holds 3 by b; c: holds 3 by b", "held, here"},
	{"the round of the woken holder finds another", "unsure", answers(promise, hold.Answer{Verdict: hold.HOLD, Hold: by("c", 3)}), "a: release; c: release; shut for 3 by c; c: return to 3 by c", "returning, forward c"},

	{"nominated", "copy", func(b *bench) []string {
		b.from("c", askOf(by("a", 1), 3))
		b.from("a", &hold.Probed{ID: asked[*hold.Probe](b, "a").ID})
		return b.from("c", &hold.Nominate{Target: by("a", 1), Asked: 3, Epoch: 5, Took: 10 * ms, Olds: []string{"b"}})
	}, "own 5 by b, copied; a: holds 5 by b; c: holds 5 by b", "held, here"},
	{"nominated, too late", "copy", func(b *bench) []string {
		b.from("c", askOf(by("a", 1), 3))
		b.from("a", &hold.Probed{ID: asked[*hold.Probe](b, "a").ID})
		b.wait(195 * ms)
		return b.from("c", &hold.Nominate{Target: by("a", 1), Asked: 3, Epoch: 5, Took: 10 * ms})
	}, "", "copy, forward a"},
	{"nominated by who has no promise", "copy", says("c", &hold.Nominate{Target: by("a", 1), Asked: 3, Epoch: 5}), "", "copy, forward a"},

	{"goodbye", "held", func(b *bench) []string { return b.do(hold.Quit{}) }, "shut for 1 by b", "none, failover a"},
	{"goodbye", "copy", func(b *bench) []string { return b.do(hold.Quit{}) }, "", "none, forward a"},
}
