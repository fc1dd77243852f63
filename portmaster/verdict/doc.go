// Package verdict decides what happens to connections, says why, and compiles
// the decisions into the tables of the kernel.
//
// Layers are asked in turn, and the first that has an answer decides:
//
//	profile   the rules of the application's profile
//	global    the rules for all applications
//	lists     filter lists, which refuse domains and all below them
//	default   the profile's default, or else the one for all applications
//
// Within the rules, the first one that matches decides.
//
// [Engine.Decide] answers for one connection, [Engine.Explain] shows each
// layer's answer. The kernel cannot ask, so it is told before: [Engine.Compile]
// turns what does not depend on names into a table in which the longest prefix
// wins, and [Engine.CompileAddr] makes the entry of an address that a DNS
// answer gave for a name. Kernel and Decide agree, which a property test holds
// against a plain reading of the rules. [Engine.DecideDomain] says what becomes
// of a DNS question, before any address is known.
//
// The kernel takes [CasesLimit] conditions on protocol and ports for one
// destination. Where rules need more, the destination is refused, by Decide
// as by the kernel; [Check] finds such rules beforehand.
//
// An [Engine] may be used by any number of goroutines. [Engine.Swap] puts
// other rules in force in one step. The numbers of rules, which the kernel
// reports with each connection, stay the same as long as a rule does, and are
// not used again for others.
//
// The package does no input or output, and keeps no record of connections.
package verdict
