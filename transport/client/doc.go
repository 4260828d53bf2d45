// Package client asks Stint's nodes from a Go program.
//
//	c, err := client.New(client.Config{Addrs: []string{"10.0.0.1:7070", "10.0.0.2:7070", "10.0.0.3:7070"}})
//	…
//	d, err := c.Allow(ctx, "account:42", "100/1m", "1000/1h")
//	if !d.Allowed { … d.Retry … }
//
// docs/client.md is the page for users. What follows is how it works.
//
// # The way of a check
//
// A caller writes its check, as it will stand in the request, into a call (encode.go, call.go), and pushes that to a lane: a queue, a connection
// and one request in flight (lane.go). While a request is in flight the next one gathers; when the answer is there, the next goes. There is
// no timer, so a check alone goes at once and a busy program's checks share requests, up to 1,000 checks and 1 MiB each. The lane
// sends the request over a connection of its own (link.go), reads the answer (decode.go) and wakes the callers. In steady state nothing of
// this allocates.
//
// A check that is wrong never leaves the process, for a node refuses a request as a whole: it would be somebody else's request too.
//
// # Nodes that fail
//
// Any node answers anything. One that fails (node.go) is skipped, and asked for something that spends nothing after 100 ms, 200 ms and so on
// up to 5 s, each with jitter, until it answers. What a failure means for the checks that were under way is said in send.go: those that surely
// nobody has decided go to another node; those that may have been decided go to another once if they spend, so that a hit may count
// twice and never less, and never if they give back.
//
// # What stays denied
//
// A denial cannot have changed before its retry moment, so the client answers from memory until then, for a second at most (denied.go).
// A give-back through the same client ends that at once; one through another, or a raised limit, within the second.
//
// # As a transport.Checker
//
// A Client is one, so that a door works over it (checker.go).
//
// # Other people's APIs
//
// Transport (roundtrip.go) is for the other side: programs that call APIs which limit them. It knows nothing of nodes.
//
// # What it does not do
//
// It does not know the cluster: it asks the nodes that it was given, in clear or over whatever Config.Dial makes. It holds no budget of
// its own and never allows anything by itself, but where no node can be asked and Config.OnError says so.
package client
