package tinker

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// checkReference goes through the vector's handshake as docs/spec/tinker.md
// tells it, with the private keys of both sides. It returns the session.
func (v handshakeVector) checkReference(t *testing.T) *reference {
	t.Helper()
	id, err := ParseSuite(v.Suite)
	if err != nil {
		t.Fatal(err)
	}
	suite := []byte{byte(id >> 8), byte(id)}
	name := sha256.Sum256(bytes.Join([][]byte{[]byte("tinker prekey v1\x00"), suite, v.PrekeyPublic}, nil))
	same(t, "the reference's prekey ID", name[:16], v.PrekeyID)
	info := referenceDigest(id, "tinker hello v1", []byte(v.Label), suite, v.Identity, v.Binding, v.PrekeyPublic)
	same(t, "the reference's info", info[:], v.HelloInfo)

	kem, kdf, aead, encSize := hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.AES256GCM(), 1088+32
	switch id {
	case TK2:
		aead = hpke.ChaCha20Poly1305()
	case TK3:
		kem, kdf, encSize = hpke.MLKEM1024P384(), hpke.HKDFSHA384(), 1568+97
	}
	prekey, err := kem.NewPrivateKey(v.PrekeyPrivate)
	if err != nil {
		t.Fatal(err)
	}
	hello, err := hpke.NewRecipient(v.Hello[18:18+encSize], prekey, kdf, aead, info[:])
	if err != nil {
		t.Fatal(err)
	}
	plain, err := hello.Open(v.Hello[:18], v.Hello[18+encSize:])
	if err != nil || !bytes.Equal(plain, append(bytes.Clone(v.EphemeralPublic), v.Payload...)) {
		t.Errorf("the reference opened %x, %v", plain, err)
	}
	th := referenceDigest(id, "tinker transcript hello v1", info[:], v.Hello)
	same(t, "the reference's hello transcript", th[:], v.HelloTranscript)
	size := referenceHash(id)().Size()
	early := referenceExpand(id, exported(t, hello, "tinker early v1", size), "tinker early chain v1", th, size)
	same(t, "the reference's early secret", early, v.EarlySecret)
	chain := &referenceChain{suite: id, secret: early, th: th}
	for _, m := range v.Early {
		opened, err := chain.open(m.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the reference's early message", opened, append([]byte{m.Type}, m.Content...))
	}
	return v.finishReference(t, id, kem, kdf, th, exported(t, hello, "tinker root v1", size))
}

func (v handshakeVector) finishReference(t *testing.T, id SuiteID, kem hpke.KEM, kdf hpke.KDF, th [32]byte, root []byte) *reference {
	t.Helper()
	same(t, "the reference's hello root", root, v.HelloRoot)
	ephemeral, err := kem.NewPrivateKey(v.EphemeralPrivate)
	if err != nil {
		t.Fatal(err)
	}
	enc, confirm := v.Reply[1:len(v.Reply)-16], v.Reply[len(v.Reply)-16:]
	reply, err := hpke.NewRecipient(enc, ephemeral, kdf, hpke.ExportOnly(), append([]byte("tinker reply v1\x00"), th[:]...))
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{suite: id, th: referenceDigest(id, "tinker transcript reply v1", th[:], enc)}
	same(t, "the reference's transcript", r.th[:], v.Transcript)
	secret := exported(t, reply, "tinker reply secret v1", len(root))
	if r.root, err = hkdf.Extract(referenceHash(id), secret, root); err != nil {
		t.Fatal(err)
	}
	same(t, "the reference's root", r.root, v.Root)
	key := referenceExpand(id, r.root, "tinker confirm v1", r.th, 32)
	same(t, "the reference's confirmation", referenceAEAD(id, key).Seal(nil, make([]byte, 12), nil, r.th[:]), confirm)
	r.forward, r.backward = r.chain("tinker forward v1"), r.chain("tinker backward v1")
	return r
}

func exported(t *testing.T, r *hpke.Recipient, label string, size int) []byte {
	t.Helper()
	b, err := r.Export(label, size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func referenceDigest(id SuiteID, label string, parts ...[]byte) [32]byte {
	h := referenceHash(id)()
	h.Write([]byte(label + "\x00"))
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil)[:32])
}
