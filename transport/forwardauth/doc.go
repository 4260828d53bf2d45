// Package forwardauth answers proxies that ask before they pass a request on: nginx (auth_request), Caddy
// (forward_auth) and Traefik (ForwardAuth), with ANY /v1/auth.
//
// The proxy says in headers what its client wants: X-Forwarded-Method and X-Forwarded-Uri (Caddy, Traefik), or
// X-Original-Method and X-Original-URI (the names that nginx recipes use). The policy picks rules, keys and limits,
// one hit is taken, and the answer is 200 with the policy's headers or the policy's denial.
//
//	?policy=NAME       which policy; needed only with several
//	?deny_status=403   the status of a denial: nginx understands 401 and 403 and makes a 500 of anything else
//	?denial=1          render the denial and count nothing: where nginx's error_page goes to get the body that
//	                   auth_request has thrown away. It is a denial even if the limit has room again by then
//	?timeout_ms=1000   1 to 10000; past it failure_mode answers
//
// # What a proxy must see to
//
// Proxies pass their client's headers on, so whatever the door reads can be forged unless the proxy sets or strips
// it. A client that adds X-Forwarded-Uri behind nginx, or X-Original-URI behind Caddy, gets a 400 as long as it
// differs from what the proxy says: guessing which of the two is the proxy's would let the client choose its rule.
// The same goes for one header sent twice with different values. The client's address comes from the policy's
// client_ip, which believes trusted proxies only.
//
// Behind nginx the request's body stays behind (proxy_pass_request_body off, with Content-Length ""), and Traefik
// sends it with forwardBody: attributes from the body are absent elsewhere. The host is X-Forwarded-Host, else
// X-Original-Host, else the Host that the question itself came with.
//
// A request that is bad is answered by 400 problem+json, one that nobody can decide by its rule's failure_mode, and
// none by 500. The door has no listener of its own; httpserver has.
package forwardauth
