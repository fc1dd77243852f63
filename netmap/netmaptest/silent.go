package netmaptest

import (
	"crypto/ed25519"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
)

// Silent returns a network called test, with private addresses, whose authority
// does not answer.
func Silent() *netmap.Network {
	key, err := note.NewEd25519VerifierKey("test", Identity("authority").Public().(ed25519.PublicKey))
	if err != nil {
		panic(err) // the name is a good one
	}
	return &netmap.Network{
		Name: "test", Threshold: 1, PrivateAddresses: true,
		Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1", Key: key}},
	}
}
