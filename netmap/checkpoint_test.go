package netmap

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestCheckpoint(t *testing.T) {
	text := MakeCheckpoint("test", 7, tlog.Hash{1})
	if want := "test\n7\nAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"; text != want {
		t.Errorf("checkpoint %q, want %q", text, want)
	}
	if c, err := ParseCheckpoint(text); err != nil || c != (Checkpoint{Origin: "test", Size: 7, Root: tlog.Hash{1}}) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{
		"", "\n", "test\n", text[:len(text)-1], text + "more\n", text + "\n",
		strings.Replace(text, "7", "07", 1), strings.Replace(text, "7", "-7", 1), strings.Replace(text, "7", "+7", 1),
		strings.Replace(text, "7", "9223372036854775808", 1), strings.Replace(text, "7", "4611686018427387904", 1), strings.Replace(text, "=", "", 1),
		strings.Replace(text, "test", "", 1), strings.Replace(text, "A=", "B=", 1), strings.Replace(text, "AQAA", "AQ", 1),
	} {
		if _, err := ParseCheckpoint(bad); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%q: %v, want %v", bad, err, ErrCheckpoint)
		}
		if _, err := SignCheckpoint(bad); err == nil {
			t.Errorf("%q was signed", bad)
		}
	}
}

// manyNetwork has authorities and witnesses, of whom all have signed the
// checkpoint, each alone.
func manyNetwork(t testing.TB, authorities, witnesses int, text string) (*Network, [][]byte) {
	t.Helper()
	network := &Network{Name: "test", Threshold: authorities, WitnessThreshold: witnesses}
	var signers []note.Signer
	for range authorities {
		n, signer := newNetwork(t)
		network.Authorities = append(network.Authorities, n.Authorities...)
		signers = append(signers, signer)
	}
	for i := range witnesses {
		signer, key := testCosigner(t, "witness", byte(i), time.Unix(int64(1e9+i), 0))
		network.Witnesses = append(network.Witnesses, Witness{URL: "http://127.0.0.1:2", Key: key})
		signers = append(signers, signer)
	}
	if err := network.validate(); err != nil {
		t.Fatal(err)
	}
	var signed [][]byte
	for _, signer := range signers {
		s, err := SignCheckpoint(text, signer)
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed, s)
	}
	return network, signed
}

// respell changes bits of a character of base64, counted from the end.
func respell(signed []byte, fromEnd int, bits byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := bytes.Clone(signed)
	at := len(b) - fromEnd
	b[at] = alphabet[byte(strings.IndexByte(alphabet, b[at]))^bits]
	return b
}

func TestSignatures(t *testing.T) {
	text := MakeCheckpoint("test", 7, tlog.Hash{1})
	network, signed := manyNetwork(t, 3, 2, text)
	check := func(name string, authorities, witnesses int, want error, notes ...[]byte) {
		t.Helper()
		merged, err := network.MergeSignatures(notes...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, w, err := network.CountSignatures(merged)
		if a != authorities || w != witnesses || err != nil {
			t.Errorf("%s: signed by %d and %d, %v; want %d and %d", name, a, w, err, authorities, witnesses)
		}
		network.Threshold, network.WitnessThreshold = 2, 1
		c, err := network.OpenWitnessed(merged)
		if !errors.Is(err, want) || err == nil && c.Size != 7 {
			t.Errorf("%s: %+v, %v; want %v", name, c, err, want)
		}
		if _, err := network.OpenCheckpoint(merged); (authorities >= 2) != (err == nil) {
			t.Errorf("%s: without witnesses: %v", name, err)
		}
	}
	stranger, _ := testCosigner(t, "witness", 99, time.Unix(1e9, 0))
	foreign, err := SignCheckpoint(text, stranger)
	if err != nil {
		t.Fatal(err)
	}
	forged := respell(signed[1], 10, 32)
	check("all", 3, 2, nil, signed...)
	check("enough", 2, 1, nil, signed[2], signed[0], signed[4])
	check("one authority", 1, 2, ErrSignature, signed[0], signed[3], signed[4])
	check("one authority twice", 1, 2, ErrSignature, signed[0], signed[0], signed[3], signed[4])
	check("no witness", 3, 0, ErrWitness, signed[0], signed[1], signed[2])
	check("another witness", 3, 0, ErrWitness, signed[0], signed[1], signed[2], foreign)
	// 68 bytes leave two bits of the last character before the = unused.
	check("other form", 1, 0, ErrSignature, signed[0], respell(signed[1], 3, 1))
	check("forged", 1, 0, ErrSignature, signed[0], forged)
	check("forged and true", 2, 0, ErrWitness, signed[0], forged, signed[1])

	if a, err := network.MergeSignatures(signed...); err != nil {
		t.Error(err)
	} else if b, err := network.MergeSignatures(signed[4], a, signed[0]); err != nil || !bytes.Equal(a, b) {
		t.Errorf("merged in another order: %q, %v; want %q", b, err, a)
	}
	_, others := manyNetwork(t, 1, 0, MakeCheckpoint("test", 7, tlog.Hash{2}))
	if _, err := network.MergeSignatures(signed[0], others[0]); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("of two checkpoints: %v", err)
	}
	if _, _, err := network.CountSignatures(make([]byte, MaxCheckpoint+1)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("too long: %v", err)
	}
}

// A signature by a log's key says nothing as a cosignature, nor the other way
// round, though both are Ed25519.
func TestCosignatureIsNoSignature(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	public := key.Public().(ed25519.PublicKey)
	cosigner, cosignerKey := testCosigner(t, "test", 1, time.Unix(1e9, 0))
	plain, err := note.NewEd25519VerifierKey("test", public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCosignatureVerifier(plain); err == nil {
		t.Error("the key of an authority is taken for that of a witness")
	}
	if _, err := note.NewVerifier(cosignerKey); err == nil {
		t.Error("the key of a witness is taken for that of an authority")
	}
	v, err := NewCosignatureVerifier(cosignerKey)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(MakeCheckpoint("test", 1, tlog.Hash{}))
	signature, err := cosigner.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Verify(text, signature) || v.KeyHash() != cosigner.KeyHash() {
		t.Error("a cosignature does not verify")
	}
	if v.Verify(text, ed25519.Sign(key, text)) || v.Verify(text, append(make([]byte, 8), ed25519.Sign(key, text)...)) || ed25519.Verify(public, text, signature[8:]) {
		t.Error("a signature is taken for a cosignature")
	}
	signature[7] ^= 1
	if v.Verify(text, signature) {
		t.Error("the time is not signed")
	}
}

func TestCosignerKey(t *testing.T) {
	_, key := testCosigner(t, "witness.example/w1", 1, time.Time{})
	for name, bad := range map[string]string{
		"empty":      "",
		"other name": strings.Replace(key, "w1", "w2", 1),
		"other hash": strings.Replace(key, "+", "+0", 1),
		"short":      key[:len(key)-4],
		"long":       key + "AAAA",
		"no base64":  strings.Replace(key, "+B", "+!", 1),
		"upper case": strings.ToUpper(key),
		"space":      "witness example" + strings.TrimPrefix(key, "witness.example/w1"),
	} {
		if _, err := NewCosignatureVerifier(bad); err == nil {
			t.Errorf("%s: %q is accepted", name, bad)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "a\u00a0b"} {
		if _, err := CosignerKey(name, make([]byte, 32)); err == nil {
			t.Errorf("name %q is accepted", name)
		}
	}
	if _, err := NewCosigner("a", nil, time.Now); err == nil {
		t.Error("a witness without a key")
	}
	early, _ := testCosigner(t, "a", 1, time.Unix(-1, 0))
	if _, err := early.Sign(nil); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("before 1970: %v", err)
	}
}

func TestWitnessesOfNetworkFile(t *testing.T) {
	good, _ := manyNetwork(t, 1, 1, MakeCheckpoint("test", 1, tlog.Hash{}))
	_, renamed := testCosigner(t, "other", 0, time.Time{}) // of the witness's key
	for want, spoil := range map[string]func(*Network){
		"witness_threshold 2": func(n *Network) { n.WitnessThreshold = 2 },
		"witness_threshold":   func(n *Network) { n.WitnessThreshold = -1 },
		"witness url":         func(n *Network) { n.Witnesses[0].URL = "ftp://" },
		"witness key":         func(n *Network) { n.Witnesses[0].Key = n.Authorities[0].Key },
		"the same key":        func(n *Network) { n.Witnesses = append(n.Witnesses, n.Witnesses[0]) },
		"have the same key":   func(n *Network) { n.Witnesses = append(n.Witnesses, Witness{URL: "http://127.0.0.1:3", Key: renamed}) },
	} {
		n := *good
		n.Witnesses = append([]Witness(nil), good.Witnesses...)
		spoil(&n)
		if err := n.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	text := MakeCheckpoint("test", 7, tlog.Hash{1})
	network, signed := manyNetwork(f, 1, 1, text)
	all, err := network.MergeSignatures(signed...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(all)
	f.Add([]byte(text + "\n— test AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := network.OpenWitnessed(b); err == nil && MakeCheckpoint(c.Origin, c.Size, c.Root) != text {
			t.Errorf("%q is accepted", b)
		}
		if merged, err := network.MergeSignatures(b, b); err == nil {
			if again, err := network.MergeSignatures(merged); err == nil && !bytes.Equal(again, merged) {
				t.Errorf("%q and %q are merged from the same", again, merged)
			}
		}
	})
}
