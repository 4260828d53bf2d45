package door

import (
	"time"

	"github.com/valyala/fasthttp"
)

// HTTP says the same around each request of a client that keeps its connection: method, path, headers. A door that can answer by the body
// alone (Direct) says so to the connection (Keeper) while it handles a request; further requests with the same head then come to it
// without HTTP having been read again. httpserver's connections are Keepers; over others nothing changes.

// A Direct is a door that can answer the body of a request.
type Direct interface {
	// Answer appends the answer to out, and returns it with its HTTP status, 200 or 503. came is when the request was there. A status of 0
	// means that the request wants its ordinary handler: nothing has happened then, the body is as it was, and out is returned.
	Answer(out, body []byte, came time.Time) (answer []byte, status int)
	// MediaType is the Content-Type of its answers.
	MediaType() string
}

// A Keeper is a connection that brings further requests with the head h straight to d. It is called by a handler, while it handles the
// request that has this head.
type Keeper interface {
	Keep(h *fasthttp.RequestHeader, d Direct)
}
