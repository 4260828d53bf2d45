// Package ring says which member is a partition's home: where the partition should live. A [Ring] is an immutable
// table of 4093 homes, a function of nothing but the names of the members, so that nodes that know the same names
// agree without talking. It is an opinion: who really holds a partition is a fact that is passed from hand to hand
// (package hold), and opinions differ for seconds while members come and go.
//
// The table is built by buraksezer/consistent v1.0.0 (consistent hashing with bounded loads) and copied out at once.
// The library never serves a lookup: its RWMutex costs ten times as much under load as an index into a slice. Neither
// Add nor Remove is ever called: with them the table would depend on the order in which members came. Versions
// before v1.0.0 place members elsewhere and let near names (node1 and node11) collide, so a cluster must never mix
// them: [Constants] names the version, peers compare it, and a test pins the table with a checksum.
//
// The backup of a partition is who would be its home if its holder were gone, so that a crash moves nothing but the
// holder's partitions and a few that the load bound pushes on. The library's GetClosestN is not that: it goes by the
// order of hashed names, which says nothing about who inherits.
//
// What this package does not do: it knows no keys (callers reduce a key to a partition), no addresses, no
// states of members, no weights. A node publishes its ring by an atomic pointer and swaps it whole.
package ring
