package policy

import (
	"cmp"
	"slices"
)

// A Severity says what a problem means for the file it is in.
type Severity uint8

const (
	Error   Severity = iota // the file cannot be used
	Warning                 // it can, but most likely should not
	Note                    // worth knowing; never fails a check
)

// String returns the word that compilers and GitHub have for it: error, warning or note.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "note"
}

// A Problem is one thing that is wrong, or worth knowing, in a policy file.
type Problem struct {
	File string // as it was given to Parse or Load
	// Line and Col count from 1, Col in characters, and Len is how many characters are wrong, at least 1. Line is 0
	// where the file as a whole is meant: it could not be read, or is too large.
	Line, Col, Len int
	Severity       Severity
	Message        string // what is wrong
	Hint           string // the repair, or ""
	// Source is the line it is in, with every secret in it starred out; of a very long line the part around Col.
	Source string

	shift int // characters cut off in front of Source
}

// Problems are what Parse has to say about a file, in the file's order.
type Problems []Problem

// Err reports whether an error is among the problems: the file cannot be used.
func (ps Problems) Err() bool { return ps.Count(Error) > 0 }

// Count returns how many problems of a severity there are.
func (ps Problems) Count(s Severity) int {
	n := 0
	for i := range ps {
		if ps[i].Severity == s {
			n++
		}
	}
	return n
}

// Of returns the problems of one severity, in the same order.
func (ps Problems) Of(s Severity) Problems {
	var of Problems
	for i := range ps {
		if ps[i].Severity == s {
			of = append(of, ps[i])
		}
	}
	return of
}

// sort puts the problems of one file into its order; those at one place stay as they were found.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
