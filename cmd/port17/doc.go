// Port17 runs the parts of a Port17 network: its authority, its nodes, and the
// client that offers it to applications as a SOCKS5 and HTTP proxy.
//
// Each long-running command prints one line "ready key=value …" on its standard
// output once it serves; everything else goes to standard error.
package main
