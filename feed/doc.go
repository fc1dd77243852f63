// Package feed reads lists of domains in the hosts format, answers whether a
// domain is on one, and keeps lists from servers at hand.
//
// [ParseHosts] accepts both lines of a hosts file that lead nowhere
// ("0.0.0.0 ads.test", with any number of names) and bare domains; an entry
// means the domain and all below it. [Feed.Lookup] names the entry and its
// line, so that a verdict can say why. [WriteHosts] writes the format.
//
// A [Feed] never changes and may be used by any number of goroutines. It
// holds 12 bytes an entry: a 64-bit hash under a key of this process, and the
// line. That two of a million entries and a name asked for share a hash has a
// probability of 10⁻¹³, and nobody outside can choose such names.
//
// A [Loader] fetches a list over HTTP and keeps the last good copy on disk,
// for the time when the server cannot be reached. It does not repeat by
// itself; its caller decides when.
//
// Other formats (Adblock rules, regular expressions) are not understood, and
// exceptions are not part of the hosts format.
package feed
