package bucket

func (t *tally) usedByAll(w *Want, now Instant) uint64                { panic("later") }
func (t *tally) waitForAll(w *Want, now Instant, need uint64) Instant { panic("later") }
func (t *tally) afterSpend(w *Want, now Instant)                      { panic("later") }
