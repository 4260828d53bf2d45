// Package door is what the HTTP doors have in common: what they are made from, how one of several policies is named,
// and how bad input is answered.
//
// A door is a handler for one protocol: parse, policy, Checker, render. It has no listener of its own; httpserver has.
package door
