// Package admin is what an operator sees of one node: health, members, explanations and metrics, over net/http on a port
// of its own that is bound to loopback unless told otherwise. It has no authentication: whoever reaches the port may
// read keys' counts (not the keys of others: a key must be named to be explained).
//
//	GET /livez            200 while the process can answer at all
//	GET /readyz           200 while the node serves; 503 while it starts or leaves. Never red because of a peer
//	GET /v1/members       the view and the ring that are in force
//	GET /v1/explain?key=  where a key lives and how it stands; &limit=100/1m (repeatable) for limits in no policy
//	POST /v1/forget?name= gives up a member that died and will not come back
//	GET /metrics          Prometheus text; every label has few, known values
//
// It is the only package that imports Prometheus: counters are plain atomics where they are counted, so that thirty nodes can
// live in one test, and are read here when somebody asks.
package admin
