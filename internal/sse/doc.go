// Package sse sends server-sent events to browsers, and fans values out to
// those who follow them.
//
// A handler calls [Start], which answers with the headers of an event stream,
// and then Send for each event until it fails or Done is closed. What a client
// does not take within a few seconds ends its stream, so that no handler
// waits for a client that is gone. While there is nothing to send, Beat keeps
// the connection alive.
//
// A [Broker] stands between one who publishes and many streams. Publish never
// waits: a subscriber whose buffer is full is dropped with [ErrSlow], and is
// expected to subscribe again and begin with the whole state. [Forward] joins
// the two: it sends what a subscription yields, and beats in between.
//
// All methods may be called by any number of goroutines. The package keeps no
// past events: a client that comes back starts anew.
//
// The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html.
package sse
