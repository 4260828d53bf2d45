package peer

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"sync"
)

// macSize is the length of a MAC: HMAC-SHA256, cut to 128 bits.
const macSize = 16

// A domain is what a MAC is for. Each has a key of its own, so that no message can stand in for one of another kind,
// or for one that goes the other way.
type domain uint8

const (
	batchAsk domain = iota
	batchAnswer
	controlAsk
	controlAnswer
	mailAsk
	mailAnswer
	domains
)

var domainNames = [domains]string{"ask " + BatchPath, "answer " + BatchPath, "ask " + ControlPath, "answer " + ControlPath,
	"ask " + MailPath, "answer " + MailPath}

// An Auth signs and checks bodies under the cluster's secret. It keeps strangers from asking, from answering, and from
// changing what is said. An answer is signed together with the MAC of what it answers, so it fits no other request.
//
// It does not keep anybody from reading, nor from sending a recorded request again; that is harmless: a batch's (start
// ID, lane, sequence) are under the MAC, the server never decides one twice, and a restarted server has
// another start ID, which is under the MAC too. So it is with mail. Control messages must bear being repeated.
//
// Its methods may be called from many goroutines. A nil Auth signs nothing and accepts everything: a cluster without a
// secret.
type Auth struct {
	pools [domains]sync.Pool // of *macState
}

type macState struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// NewAuth returns the Auth for a secret of any length, or nil for an empty one.
func NewAuth(secret []byte) *Auth {
	if len(secret) == 0 {
		return nil
	}
	a := new(Auth)
	for d := range a.pools {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("stint peer v1\x00" + domainNames[d]))
		key := h.Sum(nil)
		a.pools[d].New = func() any { return &macState{h: hmac.New(sha256.New, key)} }
	}
	return a
}

// size is how many bytes a body begins with.
func (a *Auth) size() int {
	if a == nil {
		return 0
	}
	return macSize
}

// sign writes the MAC of a frame, bound to the MAC that it answers, which an ask has none of.
func (a *Auth) sign(d domain, answers, frame, mac []byte) {
	if a == nil {
		return
	}
	s := a.mac(d, answers, frame)
	copy(mac, s.sum[:macSize])
	a.pools[d].Put(s)
}

// check reports whether a frame has that MAC, in constant time.
func (a *Auth) check(d domain, answers, frame, mac []byte) bool {
	if a == nil {
		return true
	}
	s := a.mac(d, answers, frame)
	ok := subtle.ConstantTimeCompare(s.sum[:macSize], mac) == 1
	a.pools[d].Put(s)
	return ok
}

// mac computes into a pooled state. answers is always empty or macSize long, so the two parts need no length between them.
func (a *Auth) mac(d domain, answers, frame []byte) *macState {
	s := a.pools[d].Get().(*macState)
	s.h.Reset()
	s.h.Write(answers)
	s.h.Write(frame)
	s.h.Sum(s.sum[:0])
	return s
}
