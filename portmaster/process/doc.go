// Package process says what is to be known of a process that the kernel has
// reported.
//
// The kernel's report is made while the process opens a connection, and holds
// its executable and arguments even if the process has ended since. What the
// report lacks, [Describer.Describe] reads from /proc, if the process that is
// there now is still the one of the report: identifiers are used again, the
// time of the start tells them apart.
//
// A [Describer] keeps the last 1024 descriptions, and may be used by any number
// of goroutines. It keeps nothing elsewhere, watches nothing and starts nothing.
// Without /proc, as outside of Linux, the report is all there is.
package process
