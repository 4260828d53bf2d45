package hold

// Rules are a set of rules of the protocol. Config.Off turns some off, so that a test can show what breaks without them.
type Rules uint32

const (
	RuleStartID         Rules = 1 << iota // a known name under a new start ID is a crash and a join
	RuleAsk                               // ask before claiming
	RuleProbe                             // a voter probes the target
	RulePromise                           // who answers does not claim, nor lets another claim, for a while
	RuleLowerName                         // of two claims that cross, the lower name goes on
	RuleWake                              // a node that was stopped asks before it decides
	RuleWakeEvery                         // and notices before any event
	RuleStepDown                          // who hears of a higher hold stops deciding
	RuleFreeze                            // nobody decides between a flip and its answer
	RuleClaimBack                         // a silent flip is claimed back, not taken back
	RuleKeepOld                           // the old copy is kept until the new one is whole
	RuleNewest                            // the newest copy claims
	RuleAcknowledge                       // changes that were not acknowledged are sent again
	RuleWholeCopy                         // a new backup gets everything first
	RuleKeeper                            // the keeper is announced, and asked
	RuleInFlight                          // a hold in flight is no fact
	RuleFloor                             // a refused epoch is refused for ever
	RuleHomeAgrees                        // only who is home by its own ring takes a handoff
	RuleGood                              // a round that found the holder is remembered
	RuleReturnCopy                        // what was returned stays as a copy, and is returned again
	RuleRemoteHome                        // while home is another, the copies go there
	RuleReleaseRemember                   // a release is remembered
	RuleLoans                             // a handoff waits for what was lent
)

func (m *Machine) on(r Rules) bool { return m.cfg.Off&r == 0 }
