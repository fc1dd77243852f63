package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/authority"
	"safing/port17/node"
	"safing/tinker"
)

// Expired fills the folder of a client with the map as the authorities could have
// signed it, as the first one, so long ago: the nodes are where they are, and the
// keys those of then.
func (n *Network) Expired(t testing.TB, m *netmap.Map, ago time.Duration, state string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(state, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-ago).UTC().Truncate(time.Second)
	var nodes []netmap.Node
	for _, at := range netmaptest.Linked(m) {
		i := slices.IndexFunc(n.Nodes, func(o *node.Node) bool { return o.ID() == at.ID })
		prekeys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: at.ID, Binding: at.Binding(), Now: func() time.Time { return then }})
		if err != nil {
			t.Fatal(err)
		}
		keys := &netmap.Keys{ID: at.ID, Binding: at.Binding(), Prekeys: prekeys.Public(), Published: then}
		prekeys.Close()
		signed, err := keys.Sign(n.configs[i].Identity)
		if err != nil {
			t.Fatal(err)
		}
		keep(t, filepath.Join(state, "keys", fmt.Sprintf("%02x", at.ID[0])), append(binary.AppendUvarint(nil, uint64(len(signed))), signed...))
		nodes = append(nodes, at)
	}
	old, err := netmap.New(m.Network, 1, then, then.Add(netmap.DefaultValidity), nodes)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := netmaptest.Sign(old, n.signers(t)...)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, filepath.Join(state, "map"), signed)
}

// keep appends to a file.
func keep(t testing.TB, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// signers sign for the authorities and witnesses.
func (n *Network) signers(t testing.TB) []note.Signer {
	t.Helper()
	all := slices.Clone(n.cosigners)
	for _, a := range n.authorities {
		s, err := authority.NewSigner(n.Trust.Name, a.key)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}
