package hold

// An Event is something that the machine is told.
type Event interface{ event() }

// Tick comes every Timers.Tick. That the last one is too old is how a node knows that it was stopped.
type Tick struct{}

// Beat lets what waits for a time go on: see Machine.Busy.
type Beat struct{}

// ViewChanged says who is there, and where the ring has the partitions now.
type ViewChanged struct {
	// Home returns a partition's home.
	Home func(partition int) string
	// Backup returns who would be home to a partition if that holder were gone, or home if that is another; "" for nobody.
	Backup func(partition int, holder string) string
	// Members are those present, this node left out, sorted by name.
	Members []Peer
	// Gone are runs of members that said goodbye, by name.
	Gone map[string]uint64
	// May says that this node may hold partitions: it has started and is not closed. It goes on being true while it leaves.
	May bool
}

// A Peer is another member as gossip has it.
type Peer struct {
	Name    string
	Start   uint64
	Leaving bool // in nobody's ring any more
	Serving bool
}

// Received is a message of another member's. A message of an older start of a member is dropped by the machine. They come in crowds, so a pointer does
// too, which is good until Step returns.
type Received struct {
	From    string
	Start   uint64
	Message Message
	// Fits says that the lines that came with the message can be stored, should the machine want it.
	Fits bool
}

// Unreachable says that nobody listens where a member was: what was asked of that start of it will not be answered.
type Unreachable struct {
	Name  string
	Start uint64
}

// CheckFailed says that a check could not be put to the holder that had this epoch, though it was tried here, or not through the member that
// was to relay it (Through); or, if Epoch is 0, that nobody is known who could be asked. The check goes on trying, and so this comes again until somebody decides.
type CheckFailed struct {
	Partition int
	Epoch     uint64
}

// BackupDue comes every Timers.Backup. Seq returns the partition's count of changes. Changed has a bit for each partition in which it may
// have risen since the event before, or whose gate was opened since, 64 to a word; nil: any.
type BackupDue struct {
	Seq     func(partition int) uint64
	Changed []uint64
}

// BackupStuck says that the copy which was to be sent could not be made or sent; it is tried again with the next BackupDue.
type BackupStuck struct {
	Partition int
	To        string
}

// Restored says that a snapshot brought a partition's lines back, as they were in this version.
type Restored struct {
	Partition int
	Version   Version
}

// LeaveNow says that this node is to hand over what it holds.
type LeaveNow struct{}

// Quit says that this node says goodbye now: others may claim at once what it still holds, so it decides nothing any more, and asks and
// answers nothing. Checks of what it held go to who is to claim it.
type Quit struct{}

// Forget says that a member will not come back: what it was asked and not answered is given up, and what it held may be claimed.
type Forget struct{ Name string }

func (Tick) event()        {}
func (Beat) event()        {}
func (ViewChanged) event() {}
func (Received) event()    {}
func (Unreachable) event() {}
func (CheckFailed) event() {}
func (BackupDue) event()   {}
func (BackupStuck) event() {}
func (Restored) event()    {}
func (LeaveNow) event()    {}
func (Quit) event()        {}
func (Forget) event()      {}
