// Package policy is the policy file: one YAML file that describes an API's published rate limits, and what they mean for
// a request. Who is counted, which limits, which headers, which answer.
//
// # The two halves
//
// The file. [Parse] (and [Load] for several) turns bytes into a [Policy], or into [Problems]: every mistake in one run,
// each with the line, carets under exactly the wrong words, and the repair. [WriteCheck] says what a clean file means,
// since a policy that parses is not yet the policy that one wanted; what is allowed but most likely not meant is a warning.
//
// The request. [Policy.Plan] matches a [Request] against the rules and makes one check per distinct key, each under the
// limits of all rules that count by it; [Policy.Render] turns the decisions on them into status, headers and body. Both
// allocate nothing in steady state. [Try], [Explain] and [Keys] show on made-up requests what these two do.
//
//	bytes → tree.go → file.go, callers.go, keys.go, rules.go, limits.go, overrides.go, answers.go → lint.go → Policy
//	Request → path.go, client_ip.go, attributes.go, key.go → match.go, combine.go → Plan → (a Checker) → render.go → Answer
//
// # What it does not do
//
// It decides nothing: that is a transport.Checker's, and a policy works the same over a node, a client or a fake. It opens
// no socket and reads no clock; [Parse] asks for the day, to tell which overrides have ended, and [ParseAt] is told it. It
// sends no webhook: `notify` is read for its shape, and a warning says that nothing will be sent.
//
// # The story behind odd code
//
// The YAML is decoded from nodes by hand (decode.go). The library's strict decoding stops at the first unknown field and
// knows no columns, and a list of all mistakes with columns is what the file's users get most out of. The tables of
// fields that drive it (policyFields, ruleFields, …) are the format; docs/policy.schema.json is tested against them.
//
// The library's syntax errors have a line at best, and often the one where the enclosing block began. So the first line
// with which the error comes is searched for by reading beginnings of the file (tree.go).
//
// page.go reads quoted, folded and block scalars a second time, by YAML's own rules, to know where in the file each byte
// of a value was written: the caret under `${reset_epoch}` in the middle of a block is worth that. It checks that
// the same value comes out; where it does not, carets mark the whole value.
//
// A secret that somebody wrote in clear (an override's key) is starred out of every source line, also of those that other
// problems show (decoder.secrets).
//
// Only a file without errors is looked at for warnings and notes about the whole: of half a policy most of them would
// be wrong.
//
// A rule's `denied` is laid over the policy's header by header. Retry-After is there unless taken away with ~, also
// where `denied` names other headers: a denial that does not say when to come back is asked again at once.
//
// `until` names the last day that counts, to its end in UTC.
package policy
