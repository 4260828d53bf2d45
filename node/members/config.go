package members

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/hashicorp/memberlist"
)

// A Config says who this node is and whom to call.
type Config struct {
	// Name is unique in the cluster: 1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first.
	Name string
	// StartID tells this run of the node from every other; not 0.
	StartID uint64

	// BindAddr is the address to gossip on, UDP and TCP; an IP address or a host name of this machine. Port 0 takes a free one.
	BindAddr string
	BindPort uint16
	// AdvertiseAddr is the address others reach this node at, also for peers and checks. Default: BindAddr, or this machine's
	// first private address where that is a wildcard.
	AdvertiseAddr string
	// PeerPort and DataPort are told to the others beside it.
	PeerPort, DataPort uint16

	// Seeds are members to call, each HOST:GOSSIP-PORT, at most 64. This node itself may be among them. A host name with several addresses
	// stands for all of them.
	Seeds []string
	// Secret encrypts and authenticates gossip, if not empty; every member needs the same one. Without it whoever reaches the
	// gossip port can join.
	Secret []byte

	// Constants are what the members must agree on, as words of the form name=value, and HashKey is the fingerprint
	// of the cluster's hash key. A peer that differs in either is refused.
	Constants string
	HashKey   uint64
	Version   string // of this program, for people; cut to 64 bytes
	// Patience is the factor of this node's timers, for the others to compare with theirs; 0: not said. A peer that differs is let in.
	Patience float64

	Log       *slog.Logger // default: none
	Transport Transport    // default: sockets
	Timing    Timing
}

// Timing has the timers of membership. Zero fields take the default, which suits a local network: a crash is noticed after 4–6 s in a
// small cluster, later in a large one. Shorter timers notice sooner and take a node that stalls for dead.
type Timing struct {
	ProbeInterval  time.Duration // 1 s; between probes of one member after the other
	ProbeTimeout   time.Duration // 500 ms; without an answer for so long a member is suspect
	SuspicionMult  int           // 4; a suspect is dead after this many probe intervals, times log10 of the members above 10
	GossipInterval time.Duration // 200 ms; between packets of news
	PushPull       time.Duration // 30 s; between exchanges of everything with one member
	Rejoin         time.Duration // 5 s; between calls to the seeds and to those that are missing
	FirstRejoin    time.Duration // 1 s; the same until somebody has answered: a node that starts decides nothing until then
	Dial           time.Duration // 2 s; for one call, and again for the exchange that follows
	Reclaim        time.Duration // 2 s; how long a name must have been dead before another address may have it
	Debounce       time.Duration // 50 ms; how much news gathers for one view
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	def(&t.ProbeInterval, time.Second)
	def(&t.ProbeTimeout, 500*time.Millisecond)
	def(&t.GossipInterval, 200*time.Millisecond)
	def(&t.PushPull, 30*time.Second)
	def(&t.Rejoin, 5*time.Second)
	def(&t.FirstRejoin, time.Second)
	def(&t.Dial, 2*time.Second)
	def(&t.Reclaim, 2*time.Second)
	def(&t.Debounce, 50*time.Millisecond)
	if t.SuspicionMult == 0 {
		t.SuspicionMult = 4
	}
	return t
}

// maxSeeds bounds the goroutines that resolve and call them.
const maxSeeds = 64

func (c *Config) validate() error {
	if !validName(c.Name) {
		return fmt.Errorf("cannot call this node %q: a name has 1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first", c.Name)
	}
	if c.StartID == 0 {
		return errors.New("cannot join without a start ID: it must not be 0")
	}
	if len(c.Constants) > maxConstants || !printable(c.Constants) {
		return fmt.Errorf("cannot gossip the ring constants %q: at most %d printable bytes fit", c.Constants, maxConstants)
	}
	if !printable(c.Version) {
		return fmt.Errorf("cannot gossip the version %q: it must be printable ASCII", c.Version)
	}
	if !(c.Patience >= 0 && c.Patience*1000 <= math.MaxUint32) { // so that NaN is neither
		return fmt.Errorf("cannot gossip the patience %v: it must be positive, and no more than 4 million", c.Patience)
	}
	if len(c.Seeds) > maxSeeds {
		return fmt.Errorf("cannot join through %d seeds: at most %d; one or two that are up are enough", len(c.Seeds), maxSeeds)
	}
	return nil
}

// validName keeps names fit for logs, metrics, URLs and the ring (which takes at most 64 bytes).
func validName(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// gossipKey makes the AES-256 key from the secret. The prefix keeps it apart from keys that other parts of Stint make
// from the same secret.
func gossipKey(secret []byte) []byte {
	h := sha256.New()
	io.WriteString(h, "stint gossip key, version 1\x00")
	h.Write(secret)
	return h.Sum(nil)
}

// memberlistConfig starts from memberlist's profile for local networks.
func (m *Members) memberlistConfig(t memberlist.Transport) *memberlist.Config {
	d := delegate{m}
	c := memberlist.DefaultLANConfig()
	c.Name = m.cfg.Name
	c.Label = "stint" // gossip of other programs built on memberlist is dropped
	c.Transport = t
	c.BindAddr, c.BindPort = m.bind.String(), int(m.addr.Port())
	c.AdvertiseAddr, c.AdvertisePort = m.addr.Addr().String(), int(m.addr.Port())
	if len(m.cfg.Secret) > 0 {
		c.SecretKey = gossipKey(m.cfg.Secret)
		c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	}
	c.ProbeInterval, c.ProbeTimeout = m.timing.ProbeInterval, m.timing.ProbeTimeout
	c.SuspicionMult = m.timing.SuspicionMult
	c.GossipInterval = m.timing.GossipInterval
	// News is sent to three random members in a packet. With memberlist's own 4 a member of a cluster of five missed one change of
	// another's metadata in 300 (counted) and heard of it by the next full exchange, half a minute later: so long it gave a newcomer nothing.
	c.RetransmitMult = 8
	c.PushPullInterval = m.timing.PushPull
	c.TCPTimeout = m.timing.Dial
	c.DeadNodeReclaimTime = m.timing.Reclaim
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict, c.Ping = d, d, d, d, d, d
	c.DisableTcpPingsForNode = d.unanswered
	c.LogOutput, c.Logger = nil, m.newLibraryLog()
	return c
}
