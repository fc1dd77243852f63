package netmap_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

func TestOwnerText(t *testing.T) {
	secret := netmaptest.Identity("owner")
	key := netmap.OwnerKey(secret.Public().(ed25519.PublicKey))
	proof := netmap.OwnerProof(netmap.SignOwner(secret, netmap.NodeID{1}, "group"))
	if a, b := len(key.String()), len(proof.String()); a != 52 || b != 103 {
		t.Errorf("they have %d and %d characters", a, b)
	}
	var k netmap.OwnerKey
	var p netmap.OwnerProof
	if err := errors.Join(k.UnmarshalText([]byte(key.String())), p.UnmarshalText([]byte(strings.ToUpper(proof.String())))); err != nil || k != key || p != proof {
		t.Errorf("%v, %v, %v", k, p, err)
	}
	if err := errors.Join(k.UnmarshalText(nil), p.UnmarshalText(nil)); err != nil || k.String()+p.String() != "" {
		t.Errorf("none: %v, %v, %v", k, p, err)
	}
}

// What stands for a key or a proof has one form.
func FuzzOwner(f *testing.F) {
	f.Add("abc")
	f.Add(netmap.OwnerKey{1}.String())
	f.Add(netmap.OwnerProof{1}.String())
	f.Add(strings.Repeat("a", 51) + "b")
	f.Add(strings.Repeat("b", 51) + "=")
	f.Fuzz(func(t *testing.T, text string) {
		var k netmap.OwnerKey
		if err := k.UnmarshalText([]byte(text)); err == nil && k.String() != strings.ToLower(text) && k != (netmap.OwnerKey{}) ||
			err != nil && (!errors.Is(err, netmap.ErrOwner) || k != netmap.OwnerKey{}) {
			t.Errorf("key %q: %q, %v", text, k, err)
		}
		var p netmap.OwnerProof
		if err := p.UnmarshalText([]byte(text)); err == nil && p.String() != strings.ToLower(text) && p != (netmap.OwnerProof{}) ||
			err != nil && (!errors.Is(err, netmap.ErrOwner) || p != netmap.OwnerProof{}) {
			t.Errorf("proof %q: %q, %v", text, p, err)
		}
	})
}
