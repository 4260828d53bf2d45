package bucket

// A ParseError says what is wrong with a limit's text and where.
type ParseError struct {
	Text string // the whole limit as it was written
	At   int    // where the wrong part begins, in bytes from 0
	Len  int    // how long it is, in bytes; at least 1, even where something is missing
	Msg  string // what is wrong: `unknown unit "x"`
	Hint string // the repair, or "": `units: ms, s, m, h, d, w`
}

func (e *ParseError) Error() string { return "limit \"" + e.Text + "\": " + e.Msg }

// Parse reads a limit, `COUNT/WINDOW [algorithm] [burst=N]`. Its errors are of type *ParseError.
func Parse(text string) (Limit, error) { panic("stub") }

// String writes the limit in its shortest form, which Parse reads back as the same limit: 100/1m, 10000/1d fixed_window.
func (l Limit) String() string { panic("stub") }
