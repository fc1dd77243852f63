// Command port17 runs the parts of a Port17 network: its authority, its nodes, the
// client that offers it to applications as a SOCKS5 and HTTP proxy, and witnesses, who make
// sure that everybody sees the same map.
//
// docs/client.md is the manual of who uses the network, docs/node.md that of who
// runs a node.
//
// Each long-running command prints one line "ready key=value …" on its standard
// output once it serves; everything else goes to standard error.
//
// The keys of an authority and of nodes are files, which port17 key makes, shows
// and encrypts. A service with an encrypted key gets the passphrase from a file,
// for example one that systemd decrypts for it alone:
//
//	[Service]
//	LoadCredentialEncrypted=passphrase:/etc/port17/passphrase.cred
//	ExecStart=port17 node --passphrase-file=%d/passphrase …
package main
