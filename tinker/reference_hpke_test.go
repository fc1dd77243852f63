package tinker

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"testing"
)

// A referenceContext is an HPKE context of the base mode, as RFC 9180, section
// 5.1, makes it of a shared secret. With it a test can tell what the suites'
// HPKE has to give for a shared secret that a vector names.
type referenceContext struct {
	hash           func() hash.Hash
	suiteID        []byte
	key, baseNonce []byte
	exporterSecret []byte
}

// Identifiers of RFC 9180, section 7.
const (
	hpkeHKDF256    = 1
	hpkeHKDF384    = 2
	hpkeAES256     = 2
	hpkeChaCha20   = 3
	hpkeExportOnly = 0xffff
)

func newReferenceContext(t testing.TB, kem, kdf, aead uint16, shared, info []byte) *referenceContext {
	t.Helper()
	c := &referenceContext{suiteID: []byte("HPKE")}
	for _, id := range []uint16{kem, kdf, aead} {
		c.suiteID = binary.BigEndian.AppendUint16(c.suiteID, id)
	}
	switch kdf {
	case hpkeHKDF256:
		c.hash = sha256.New
	case hpkeHKDF384:
		c.hash = sha512.New384
	default:
		t.Fatalf("the reference has no KDF %d", kdf)
	}
	context := []byte{0} // base mode
	context = append(context, c.extract(nil, "psk_id_hash", nil)...)
	context = append(context, c.extract(nil, "info_hash", info)...)
	secret := c.extract(shared, "secret", nil)
	if aead != hpkeExportOnly {
		c.key = c.expand(secret, "key", context, 32)
		c.baseNonce = c.expand(secret, "base_nonce", context, 12)
	}
	c.exporterSecret = c.expand(secret, "exp", context, c.hash().Size())
	return c
}

func (c *referenceContext) extract(salt []byte, label string, ikm []byte) []byte {
	labeled := append([]byte("HPKE-v1"), c.suiteID...)
	labeled = append(append(labeled, label...), ikm...)
	b, _ := hkdf.Extract(c.hash, labeled, salt)
	return b
}

func (c *referenceContext) expand(secret []byte, label string, info []byte, size int) []byte {
	labeled := binary.BigEndian.AppendUint16(nil, uint16(size))
	labeled = append(append(append(labeled, "HPKE-v1"...), c.suiteID...), label...)
	b, _ := hkdf.Expand(c.hash, secret, string(append(labeled, info...)), size)
	return b
}

func (c *referenceContext) export(context []byte, size int) []byte {
	return c.expand(c.exporterSecret, "sec", context, size)
}

// referenceHybrid joins the secrets of a hybrid KEM's halves, as section 5.3 of
// draft-connolly-cfrg-xwing-kem and draft-ietf-hpke-pq do.
func referenceHybrid(label string, pqSecret, dhSecret, dhEnc, dhPublic []byte) []byte {
	h := sha3.New256()
	for _, part := range [][]byte{pqSecret, dhSecret, dhEnc, dhPublic, []byte(label)} {
		h.Write(part)
	}
	return h.Sum(nil)
}
