package client

import (
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/tinker"
)

// describe makes a node with keys that are valid now, and signs those.
func describe(t *testing.T, key ed25519.PrivateKey) (netmap.Node, []byte) {
	t.Helper()
	d := &netmap.Descriptor{ID: netmap.NodeID(key.Public().(ed25519.PublicKey)), Name: "node", Owner: "owner", Version: "1", Addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1717")}}
	prekeys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()})
	if err != nil {
		t.Fatal(err)
	}
	keys := &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: prekeys.Public(), Published: time.Now().Truncate(time.Second)}
	return netmap.Node{Descriptor: d, Keys: keys}, resign(t, *keys, key)
}

func resign(t *testing.T, keys netmap.Keys, key ed25519.PrivateKey) []byte {
	t.Helper()
	signed, err := keys.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// What a node sends of itself is used until the map has it, if it is the
// node's own, and newer. The node is not left out then.
func TestRestartedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, key, _ := ed25519.GenerateKey(nil)
		_, other, _ := ed25519.GenerateKey(nil)
		old, replayed := describe(t, key)
		time.Sleep(time.Minute)
		now, signed := describe(t, key)
		_, stranger := describe(t, other)
		moved := *now.Descriptor
		moved.Addresses = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:1717")}
		bound := *now.Keys
		bound.Binding = moved.Binding()
		elsewhere := resign(t, bound, key)
		broken := append([]byte{}, signed...)
		broken[len(broken)-1] ^= 1
		for _, test := range []struct {
			name    string
			signed  []byte
			learned bool
		}{
			{"replayed", replayed, false},
			{"another node's", stranger, false},
			{"broken", broken, false},
			{"with another address", elsewhere, false},
			{"the node's own", signed, true},
		} {
			c := &Client{
				failures: newFailures(), newer: make(map[told]*netmap.Keys),
				config: Config{Log: slog.New(slog.DiscardHandler)},
			}
			s := &shared{client: c, made: time.Now(), hops: []circuit.Hop{{Node: old}}}
			s.blame(&circuit.Error{Reason: cell.UnknownPrekey, Retry: &tinker.RetryError{Descriptor: test.signed}})
			want := old
			if test.learned {
				want = now
			}
			if got := c.newest(group{}, old); got.Keys.Prekeys[0].ID() != want.Keys.Prekeys[0].ID() {
				t.Errorf("%s: the wrong prekeys are used next", test.name)
			}
			if got := c.newest(group{app: "other"}, old); got.Keys.Prekeys[0].ID() != old.Keys.Prekeys[0].ID() {
				t.Errorf("%s: other connections use what these have learned", test.name)
			}
			if left := len(c.failures.now()) == 0; left != test.learned {
				t.Errorf("%s: left out: %v", test.name, !left)
			}
			c.forgetOlderLocked(&netmap.Map{})
			if len(c.newer) != 0 {
				t.Errorf("%s: kept beyond the map", test.name)
			}
		}
	})
}

// A node cannot send what stands above all maps that come, nor, with prekeys
// that end soon, what leaves it without any.
func TestKeysEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, key, _ := ed25519.GenerateKey(nil)
		old, _ := describe(t, key)
		time.Sleep(time.Minute)
		now, signed := describe(t, key)
		future := *now.Keys
		future.Published = time.Now().Add(maxAhead + time.Second)
		late := resign(t, future, key)
		c := &Client{newer: make(map[told]*netmap.Keys)}
		if c.learn(group{}, old, late) {
			t.Error("keys of the future were taken")
		}
		if !c.learn(group{}, old, signed) {
			t.Fatal("keys of now were not taken")
		}
		time.Sleep(2 * tinker.DefaultSlot)
		if got := c.newest(group{}, old); got.Keys != old.Keys {
			t.Error("prekeys that have ended are still used in place of the map's")
		}
	})
}
