// Package history keeps what applications did on the network: the live
// connections in memory and the past ones on disk.
//
// A [Table] holds the newest connections, bounded in number. The kernel's
// events, the gateway and the resolver write to it; each change gets a
// version. Whoever wants to follow asks for everything after the version that
// it knows ([Table.Since]) and gets each changed connection once, however
// often it changed: a slow reader gets larger steps, never a longer queue.
//
// A [Store] is one such reader. It writes connections to a SQLite file in
// batches and bounds the file by age and by number. A crash loses at most the
// last batch; connections that were open at that moment are marked when the
// file is opened again.
//
// Table and Store may be used from any goroutine. Nothing here decides about
// connections, and nothing is sent anywhere.
package history
