package policy

import "net/netip"

// A Request is what a door knows of the request it was asked about. Doors fill in what they have; what they do not
// have is absent, and the next key of a rule's list is taken.
type Request struct {
	Method string
	Host   string
	// URI is path and query as they came, still escaped: `/assets/7?seller=42`.
	URI string
	// Header returns all values of a header, by its canonical name; nil for a door without headers.
	Header func(name string) []string
	// Body is the body, or its first MaxBody+1 bytes; nil where the door does not see it.
	Body []byte
	// Peer is the address at the other end of the connection.
	Peer netip.Addr
	// Attributes are given by name by the native API, instead of the sources in the policy. They pass through its
	// lower, secret, empty and length rules. `method`, `path` and `host` go into Method, URI and Host, not here; `ip`
	// does go here and is taken as given, then ipv6_prefix.
	Attributes map[string]string
}

// MaxBody is how much of a body is read for `json` and `form` sources: an API's login fits, an upload need not.
const MaxBody = 64 << 10
