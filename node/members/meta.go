package members

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// meta is what a member says about itself in its gossip, beside its name and address. The format is flat: fixed
// fields, two short texts, and the patience, which the first builds did not have. Later versions may append; what follows is
// ignored. A change that old nodes must not ignore takes a new version number.
type meta struct {
	startID            uint64
	peerPort, dataPort uint16
	flags              flags
	ringID             uint64
	hashKey            uint64 // the fingerprint of the cluster's hash key
	constants          string // words of the form name=value
	version            string
	patience           uint32 // in thousandths; 0: it does not say
}

type flags uint8

const (
	serving flags = 1 << iota
	leaving
)

const (
	metaVersion = 1
	metaFixed   = 1 + 8 + 2 + 2 + 1 + 8 + 8
	// The texts are capped so that the whole stays far below memberlist's 512 bytes, above which it panics.
	maxConstants = 160
	maxVersion   = 64
	maxMeta      = metaFixed + 1 + maxConstants + 1 + maxVersion + 4 + maxPad
	// maxPad bounds the zeros at the end. They are for memberlist's queue of news, which tells messages of one length apart by a number
	// that begins anew whenever the queue is empty for a moment, also while the last message is only taken out to be put back. So of two
	// members' news of one length, queued within some gossip intervals, one may push the other out before it was ever sent; its ring ID
	// is then unknown to the others until the next exchange of everything, half a minute later. Members whose
	// metadata differ in length do not meet.
	maxPad = 127
)

var errMeta = errors.New("its metadata is cut short or not Stint's")

// encode writes the metadata: at most maxMeta bytes, whatever the texts are.
func (m meta) encode() []byte {
	b := make([]byte, 0, maxMeta)
	b = append(b, metaVersion)
	b = binary.BigEndian.AppendUint64(b, m.startID)
	b = binary.BigEndian.AppendUint16(b, m.peerPort)
	b = binary.BigEndian.AppendUint16(b, m.dataPort)
	b = append(b, byte(m.flags))
	b = binary.BigEndian.AppendUint64(b, m.ringID)
	b = binary.BigEndian.AppendUint64(b, m.hashKey)
	for _, text := range []struct {
		s   string
		max int
	}{{m.constants, maxConstants}, {m.version, maxVersion}} {
		s := text.s[:min(len(text.s), text.max)]
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint32(b, m.patience)
	return append(b, make([]byte, m.pad())...)
}

// pad spreads start IDs, which differ in their last bits or in their first.
func (m meta) pad() int { return int(m.startID * 0x9e3779b97f4a7c15 >> 57) }

// decodeMeta reads what encode wrote. It keeps no reference to b, which is memberlist's.
func decodeMeta(b []byte) (meta, error) {
	if len(b) == 0 {
		return meta{}, errMeta
	}
	if b[0] != metaVersion {
		return meta{}, fmt.Errorf("its metadata has version %d and this node reads version %d: run the same release of stint on both", b[0], metaVersion)
	}
	if len(b) < metaFixed {
		return meta{}, errMeta
	}
	m := meta{
		startID:  binary.BigEndian.Uint64(b[1:]),
		peerPort: binary.BigEndian.Uint16(b[9:]),
		dataPort: binary.BigEndian.Uint16(b[11:]),
		flags:    flags(b[13]),
		ringID:   binary.BigEndian.Uint64(b[14:]),
		hashKey:  binary.BigEndian.Uint64(b[22:]),
	}
	rest := b[metaFixed:]
	for _, text := range []struct {
		to  *string
		max int
	}{{&m.constants, maxConstants}, {&m.version, maxVersion}} {
		if len(rest) == 0 {
			return meta{}, errMeta
		}
		n := int(rest[0])
		if n > text.max || n > len(rest)-1 {
			return meta{}, errMeta
		}
		*text.to = string(rest[1 : 1+n])
		rest = rest[1+n:]
		if !printable(*text.to) { // they are shown to people and written to logs
			return meta{}, errMeta
		}
	}
	if len(rest) >= 4 { // a build that says nothing of it has zeros here, or the end
		m.patience = binary.BigEndian.Uint32(rest)
	}
	return m, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
