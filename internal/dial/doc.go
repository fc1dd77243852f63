// Package dial connects to whichever of a host's addresses answers first
// (RFC 8305, "Happy Eyeballs").
//
// It neither looks names up nor keeps anything; its functions may be called from
// any goroutine.
package dial
