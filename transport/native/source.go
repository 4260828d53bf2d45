package native

import "errors"

// A source reads a body's values one after another, in one format. Both formats stand behind it so that there is one
// walk over a request (walk.go), and what one format refuses the other does too. It costs an indirect call per value,
// about two nanoseconds.
//
// Texts that it returns alias the body. Nothing is allocated but errors, whatever the body claims: a count is only
// believed as far as there are bytes for it. There is no way to skip a value, because a field that nobody knows is
// refused; so the walk, not the body, decides how deep it goes.
type source interface {
	// object enters an object.
	object() error
	// field returns the next field's name, or false at the object's end, which leaves it.
	field() (name []byte, more bool, err error)
	// array enters an array; n is its length where the format tells, else -1.
	array() (n int, err error)
	// element says whether the array has another element; at its end it leaves it.
	element() (more bool, err error)
	// text reads a text, valid UTF-8.
	text() ([]byte, error)
	// integer reads a whole number that fits in 64 bits with a sign.
	integer() (int64, error)
	boolean() (bool, error)
	// null reads a null if that is what comes next, and says whether it was.
	null() bool
	// isBoolean says whether a boolean comes next.
	isBoolean() bool
	// end says whether the body has ended.
	end() error
}

// The reasons that both formats have in common.
var (
	errEnds     = errors.New("the body ends too early; is it cut off?")
	errTrailing = errors.New("something follows the request; send one request in a body")
	errUTF8     = errors.New("text that is not UTF-8")
	errRange    = errors.New("a number that does not fit in 64 bits")
)
