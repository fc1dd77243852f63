package netmap

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"safing/internal/canonical"
	"safing/tinker"
)

func newKeys(t testing.TB, d *Descriptor, key ed25519.PrivateKey) *Keys {
	t.Helper()
	prekeys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	k := &Keys{ID: d.ID, Binding: d.Binding(), Prekeys: prekeys.Public(), Published: time.Now().UTC().Truncate(time.Second)}
	signed, err := k.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if k, err = OpenKeys(signed); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeys(t *testing.T) {
	d, key := newDescriptor(t, 1)
	k := newKeys(t, d, key)
	signed := k.Signed()
	if again, err := k.Sign(key); err != nil || !bytes.Equal(again, signed) || k.ID != d.ID || k.Binding != d.Binding() {
		t.Errorf("keys that were read are others than were signed: %v", err)
	}
	now := time.Now()
	to, err := Node{Descriptor: d, Keys: k}.Recipient(now)
	if err != nil || to.Identity != d.ID || to.Binding != d.Binding() || to.Prekey.ID() != k.Prekeys[0].ID() {
		t.Errorf("recipient %v, %v", to.Identity, err)
	}
	if _, err := (Node{Descriptor: d}).Recipient(now); !errors.Is(err, ErrNoKeys) {
		t.Errorf("without keys: %v, want %v", err, ErrNoKeys)
	}
	if _, err := k.Prekey(now.Add(30 * 24 * time.Hour)); !errors.Is(err, tinker.ErrPrekeyExpired) {
		t.Errorf("a month later: %v, want %v", err, tinker.ErrPrekeyExpired)
	}
	for i := range signed {
		flipped := bytes.Clone(signed)
		flipped[i] ^= 1
		if _, err := OpenKeys(flipped); !errors.Is(err, ErrKeys) {
			t.Fatalf("with byte %d flipped: %v", i, err)
		}
	}
	if _, err := OpenKeys(append(bytes.Clone(signed), 0)); !errors.Is(err, ErrKeys) {
		t.Errorf("with a byte behind it: %v", err)
	}
	many := *k
	many.Prekeys = make([]tinker.Prekey, maxPrekeys+1)
	if _, err := many.Sign(key); !errors.Is(err, ErrKeys) {
		t.Errorf("with too many: %v", err)
	}
	_, other := newDescriptor(t, 2)
	if _, err := k.Sign(other); !errors.Is(err, ErrKeys) {
		t.Errorf("with another node's key: %v", err)
	}
}

// Only who has the owner's key can say that a node and its group are the owner's.
func TestSignOwner(t *testing.T) {
	d, key := newDescriptor(t, 1)
	owner := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	copy(d.OwnerKey[:], owner.Public().(ed25519.PublicKey))
	d.Group = "cellar"
	d.OwnerProof = SignOwner(owner, d.ID, d.Group)
	signed, err := d.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenDescriptor(signed); err != nil || got.OwnerKey != d.OwnerKey || got.OwnerProof != d.OwnerProof {
		t.Errorf("what was read: %v", err)
	}
	for name, proof := range map[string][64]byte{
		"another node's":  SignOwner(owner, NodeID{1}, d.Group),
		"another group's": SignOwner(owner, d.ID, "attic"),
		"another owner's": SignOwner(key, d.ID, d.Group),
	} {
		d.OwnerProof = proof
		if _, err := d.Sign(key); !errors.Is(err, ErrDescriptor) {
			t.Errorf("with %s proof: %v, want %v", name, err, ErrDescriptor)
		}
	}
}

func FuzzOpenKeys(f *testing.F) {
	d, key := newDescriptor(f, 1)
	f.Add(newKeys(f, d, key).Signed())
	short := Keys{ID: d.ID, Prekeys: []tinker.Prekey{{Suite: tinker.TK1, Public: []byte("key"), NotAfter: 1 << 40}}}
	signed, err := short.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		// The signature is made anew, so that what lies behind it is reached.
		if len(b) > ed25519.SignatureSize {
			var w keysWire
			if canonical.Decode(b[ed25519.SignatureSize:], &w, maxItems) == nil {
				(&Keys{ID: w.ID, Prekeys: w.Prekeys}).Prekey(time.Now())
			}
		}
		if k, err := OpenKeys(b); err == nil {
			k.Prekey(time.Now())
		} else if !errors.Is(err, ErrKeys) {
			t.Error(err)
		}
	})
}
