// Package tlscheck looks at the first bytes that an application sends on a
// connection and says whether they begin a TLS session, and for which server.
//
// It reads the ClientHello, which every TLS client sends in the clear, and
// nothing behind it: it never decrypts, never holds bytes back and never
// changes them. A [Sniffer] is fed what passes by in one direction; [Parse]
// does the same for bytes that are already there.
//
// A name from a ClientHello is the client's claim. With Encrypted Client Hello
// it is the name of the outer, public server. Certificates are not checked
// here, and nothing is refused here.
//
// A Sniffer belongs to one goroutine. Parse may be called from anywhere.
package tlscheck
