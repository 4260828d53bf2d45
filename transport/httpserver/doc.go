// Package httpserver is the listener that the HTTP doors share: one port, POST /v1/check and ANY /v1/auth.
//
// It bounds what a client can make the server hold, before any door sees a byte:
//
//   - a request must arrive within ReadTimeout (and a little, see conn.go), headers and body together, so a client that sends a byte now and then
//     (slowloris) keeps a connection for that long and no longer;
//   - headers take at most 16 KiB (431 beyond), bodies 1 MiB (413 beyond), whether their length was declared or not;
//   - bodies over 16 KiB share BodyMemory, because fasthttp makes room for what a header promises (bodies.go); those
//     that find it spent are answered 503;
//   - connections are counted, and those over Concurrency are answered 503 and closed;
//   - an answer that the client does not take is given up after WriteTimeout.
//
// fasthttp reads and writes HTTP. Two things are done under it, by the connections (conn.go): deadlines are set seldom, and requests
// that repeat a head which fasthttp has read, but for its Content-Length, go straight to a door that can do with their bodies (repeat.go).
//
// Whatever it answers itself is application/problem+json too. It knows nothing of checks and policies: the doors are
// handlers that it is given, and TLS is the business of a proxy before it or a listener that is handed to Serve.
package httpserver
