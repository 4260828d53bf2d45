package mail

import (
	"encoding/binary"
	"errors"

	"github.com/stint-limiter/stint/bucket"
)

// Lines are the lines of a partition that travel with a message, by history.
type Lines struct {
	Seq       uint64
	Histories []bucket.Copy
}

const (
	recordSize  = 64
	copyHead    = 28
	maxHistores = 4
)

var errLines = errors.New("lines end too early")

func appendLines(b []byte, l *Lines) []byte {
	b = binary.LittleEndian.AppendUint64(b, l.Seq)
	b = append(b, byte(len(l.Histories)))
	for _, c := range l.Histories {
		b = binary.LittleEndian.AppendUint64(b, c.Name.Epoch)
		b = binary.LittleEndian.AppendUint64(b, c.Name.Start)
		b = binary.LittleEndian.AppendUint64(b, c.Seq)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(c.Records)))
		for i := range c.Records {
			r := &c.Records[i]
			for _, v := range [8]uint64{r.ID.Key, r.ID.Line, r.Clock, r.Marks[0], r.Marks[1], r.Marks[2], r.Marks[3], r.Marks[4]} {
				b = binary.LittleEndian.AppendUint64(b, v)
			}
		}
	}
	return b
}

func readLines(b []byte) (*Lines, []byte, error) {
	if len(b) < 9 || b[8] > maxHistores {
		return nil, nil, errLines
	}
	u := binary.LittleEndian.Uint64
	l, n := &Lines{Seq: u(b)}, int(b[8])
	b = b[9:]
	for range n {
		if len(b) < copyHead {
			return nil, nil, errLines
		}
		c := bucket.Copy{Name: bucket.Name{Epoch: u(b), Start: u(b[8:])}, Seq: u(b[16:])}
		n := int(binary.LittleEndian.Uint32(b[24:]))
		if b = b[copyHead:]; n > len(b)/recordSize {
			return nil, nil, errLines
		}
		c.Records = make([]bucket.Record, n)
		for i := range c.Records {
			c.Records[i] = bucket.Record{ID: bucket.ID{Key: u(b), Line: u(b[8:])}, Clock: u(b[16:]), Marks: [5]uint64{u(b[24:]), u(b[32:]), u(b[40:]), u(b[48:]), u(b[56:])}}
			b = b[recordSize:]
		}
		l.Histories = append(l.Histories, c)
	}
	return l, b, nil
}
