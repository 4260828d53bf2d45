// Package native is Stint's own API, POST /v1/check, in JSON and in MessagePack.
//
// The way of a request through the files is: door.go takes it, walk.go reads it from a source (json.go, msgpack.go)
// and refuses what is wrong with it, attributes.go asks a policy where a check carries attributes instead of a key,
// decide.go hands everything to the Checker, answer.go writes the decisions in the request's format.
//
// What nearly all requests look like, checks with a key and limits in MessagePack, is read and written by quick.go and answerquick.go, in one
// go; they know no rule of their own, and what is not theirs goes the way above. A connection that sends such requests with the same head
// brings their bodies straight to Door.Answer (package httpserver). From a socket to the Checker and back nothing is
// allocated and nothing is reflected upon; BenchmarkDoor shows what it costs, beside BenchmarkEcho.
//
// # Request
//
//	{"checks":[{"key":"account:42","limits":["100/1m","1000/1h"],"hits":1}],"timeout_ms":1000}
//
// A body that starts with { is JSON whatever Content-Type says, since curl calls everything a form; anything else is
// MessagePack with the same names. Bad input (a field nobody knows, one that is there twice, a wrong type) is
// answered by 400 application/problem+json which names the check, and nothing is spent: a request is read to its end
// before anything is decided. Null is the same as absent.
//
// A check has either key and limits, or attributes and perhaps the name of a policy, which then picks rules, keys and
// limits; with render, the decision brings the status, headers and body that the policy would send. hits is 1 where it
// is absent; 0 peeks and a negative number gives back. "receipt":true asks for the name of the slot that the hits went
// into, and "receipt":"…", that name, gives them back to it; without one they leave the oldest slot.
//
// # Answer
//
// One decision per check, in order. Fields that would say nothing are left out: limit, remaining, reset_ms, retry_ms
// and by where no limit decided (nobody could, the table was full, or all limits are shadow), rule and current
// without a policy, never and shadow unless they have something to tell. A check that no rule matches is answered by
// {"allowed":true} alone. Milliseconds are rounded up, so no moment in an answer is early.
//
// HTTP is 200 unless the request is bad or every check was unavailable and denied: then it is 503, with the decisions
// as its body all the same.
//
// # Order
//
// Checks of one request take effect in order. All of them travel as one batch; only a check that shares a key with an
// earlier one which a policy counts by several keys waits for that one to be settled (decide.go).
//
// The package has no listener (httpserver has one), no policy language and no opinion about limits.
package native
