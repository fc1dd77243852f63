// Package backoff says how long to wait before something that has failed is
// tried again: each time twice as long, up to a bound, and not just as long as
// others wait who have failed at the same time.
//
// A [Backoff] belongs to one goroutine. It does not wait itself.
package backoff
