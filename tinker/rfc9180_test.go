package tinker

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// hexBytes are bytes that JSON holds as hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}

func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// An hpkeVector is a set-up of the base mode with messages and exports.
type hpkeVector struct {
	Mode           int      `json:"mode"`
	KEM            uint16   `json:"kem_id"`
	KDF            uint16   `json:"kdf_id"`
	AEAD           uint16   `json:"aead_id"`
	Info           hexBytes `json:"info"`
	Private        hexBytes `json:"skRm"`
	Public         hexBytes `json:"pkRm"`
	Enc            hexBytes `json:"enc"`
	SharedSecret   hexBytes `json:"shared_secret"`
	Key            hexBytes `json:"key"`
	BaseNonce      hexBytes `json:"base_nonce"`
	ExporterSecret hexBytes `json:"exporter_secret"`
	Encryptions    []struct {
		AAD       hexBytes `json:"aad"`
		Nonce     hexBytes `json:"nonce"`
		Plaintext hexBytes `json:"pt"`
		Sealed    hexBytes `json:"ct"`
	} `json:"encryptions"`
	Exports []struct {
		Context hexBytes `json:"exporter_context"`
		Size    int      `json:"L"`
		Value   hexBytes `json:"exported_value"`
	} `json:"exports"`
}

func readHPKEVectors(t *testing.T, path string) []hpkeVector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []hpkeVector
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// algorithms returns the suite's KDF and AEAD that a vector is for, or those of
// replies and steps if it has no AEAD.
func (v hpkeVector) algorithms(t *testing.T) (*suite, hpke.AEAD) {
	t.Helper()
	for _, id := range Suites() {
		s := suiteOf(t, id)
		if s.kdf.ID() == v.KDF && v.AEAD == hpkeExportOnly {
			return s, hpke.ExportOnly()
		}
		if s.kdf.ID() == v.KDF && s.aead.ID() == v.AEAD {
			return s, s.aead
		}
	}
	t.Fatalf("no suite has KDF %d and AEAD %d", v.KDF, v.AEAD)
	return nil, nil
}

func (v hpkeVector) recipient(t *testing.T, kem hpke.KEM, kdf hpke.KDF, aead hpke.AEAD) *hpke.Recipient {
	t.Helper()
	private, err := kem.NewPrivateKey(v.Private)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(private.PublicKey().Bytes(), v.Public) {
		t.Error("the private key has another public key")
	}
	r, err := hpke.NewRecipient(v.Enc, private, kdf, aead, v.Info)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check opens the vector's messages and compares the exports. It does the same
// with the reference, which other tests can then rely on.
func (v hpkeVector) check(t *testing.T, s *suite, r *hpke.Recipient) {
	t.Helper()
	c := newReferenceContext(t, v.KEM, v.KDF, v.AEAD, v.SharedSecret, v.Info)
	if !bytes.Equal(c.exporterSecret, v.ExporterSecret) || !bytes.Equal(c.key, v.Key) || !bytes.Equal(c.baseNonce, v.BaseNonce) {
		t.Error("the reference has other keys")
	}
	for n, e := range v.Encryptions {
		plain, err := r.Open(e.AAD, e.Sealed)
		if err != nil || !bytes.Equal(plain, e.Plaintext) {
			t.Errorf("message %d: %x, %v", n, plain, err)
		}
		aead, err := s.newAEAD(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		if sealed := aead.Seal(nil, e.Nonce, e.Plaintext, e.AAD); !bytes.Equal(sealed, e.Sealed) {
			t.Errorf("message %d, sealed with the key and nonce: %x", n, sealed)
		}
	}
	for _, e := range v.Exports {
		value, err := r.Export(string(e.Context), e.Size)
		if err != nil || !bytes.Equal(value, e.Value) || !bytes.Equal(c.export(e.Context, e.Size), e.Value) {
			t.Errorf("export for %q: %x, %v", e.Context, value, err)
		}
	}
}

// RFC 9180 knows the suites' KDF and AEADs, and X25519 alone for the KEM.
func TestRFC9180(t *testing.T) {
	vectors := readHPKEVectors(t, "testdata/hpke_rfc9180.json")
	if len(vectors) != 3 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		s, aead := v.algorithms(t)
		v.check(t, s, v.recipient(t, hpke.DHKEM(ecdh.X25519()), s.kdf, aead))
	}
}

// The draft for post-quantum HPKE has vectors for exactly TK2 and TK3.
func TestHPKEOfSuites(t *testing.T) {
	vectors := readHPKEVectors(t, "testdata/hpke_pq.json")
	if len(vectors) != 2 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for i, id := range []SuiteID{TK2, TK3} {
		s, v := suiteOf(t, id), vectors[i]
		if v.KEM != s.kem.ID() || v.KDF != s.kdf.ID() || v.AEAD != s.aead.ID() {
			t.Fatalf("vector %d is not for %v", i, id)
		}
		v.check(t, s, v.recipient(t, s.kem, s.kdf, s.aead))
	}
}

// Nobody has published vectors for TK1, nor for the export-only contexts of
// replies and steps. For them the reference goes on from the shared secrets
// that the draft's vectors name.
func TestHPKEWithoutVectors(t *testing.T) {
	vectors := readHPKEVectors(t, "testdata/hpke_pq.json")
	of := map[SuiteID]hpkeVector{TK1: vectors[0], TK2: vectors[0], TK3: vectors[1]}
	perSuite(t, func(t *testing.T, id SuiteID) {
		s, v := suiteOf(t, id), of[id]
		for _, aead := range []hpke.AEAD{s.aead, hpke.ExportOnly()} {
			r := v.recipient(t, s.kem, s.kdf, aead)
			c := newReferenceContext(t, v.KEM, v.KDF, aead.ID(), v.SharedSecret, v.Info)
			value, err := r.Export("context", 32)
			if err != nil || !bytes.Equal(value, c.export([]byte("context"), 32)) {
				t.Errorf("AEAD %d: export %x, %v", aead.ID(), value, err)
			}
			if aead == hpke.ExportOnly() {
				continue
			}
			sealed := referenceAEAD(id, c.key).Seal(nil, c.baseNonce, []byte("plaintext"), []byte("aad"))
			plain, err := r.Open([]byte("aad"), sealed)
			if err != nil || string(plain) != "plaintext" {
				t.Errorf("AEAD %d: opened %q, %v", aead.ID(), plain, err)
			}
		}
	})
}
