package tinker

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

type aeadGroup struct {
	IVSize, KeySize, TagSize int
}

type aeadCase struct {
	wycheproofCase
	Key    hexBytes `json:"key"`
	IV     hexBytes `json:"iv"`
	AAD    hexBytes `json:"aad"`
	Msg    hexBytes `json:"msg"`
	Sealed hexBytes `json:"ct"`
	Tag    hexBytes `json:"tag"`
}

// aeads runs the vectors with the sizes that the suites have. A suite's nonce is
// an array, so that none of another size gets to its AEAD.
func aeads(ids ...SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		eachVector(t, c, never, func(g aeadGroup, v aeadCase) (bool, string) {
			switch {
			case g.KeySize != 8*aeadKeySize:
				return false, "with another size of key"
			case g.IVSize != 8*nonceSize:
				return false, "with another size of nonce"
			case g.TagSize != 8*tagSize:
				return false, "with another size of tag"
			}
			taken := 0
			for _, id := range ids {
				aead, err := suiteOf(t, id).newAEAD(v.Key)
				if err != nil {
					t.Fatal(err)
				}
				if v.takenBy(t, aead) {
					taken++
				}
			}
			if taken != 0 && taken != len(ids) {
				t.Errorf("%s, vector %d: the suites do not agree", c.file, v.ID)
			}
			return taken > 0, ""
		})
	}
}

func (v aeadCase) takenBy(t *testing.T, aead cipher.AEAD) bool {
	sealed := append(bytes.Clone(v.Sealed), v.Tag...)
	plain, err := aead.Open(nil, v.IV, sealed, v.AAD)
	if err != nil {
		return false
	}
	if !bytes.Equal(plain, v.Msg) || !bytes.Equal(aead.Seal(nil, v.IV, v.Msg, v.AAD), sealed) {
		t.Errorf("vector %d: another message", v.ID)
	}
	return true
}

type hkdfCase struct {
	wycheproofCase
	IKM  hexBytes `json:"ikm"`
	Salt hexBytes `json:"salt"`
	Info hexBytes `json:"info"`
	Size int      `json:"size"`
	OKM  hexBytes `json:"okm"`
}

// hkdfs runs the suites' extract, and behind it the function that their expand
// calls, which has infos of its own form.
func hkdfs(ids ...SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		eachVector(t, c, never, func(_ struct{}, v hkdfCase) (bool, string) {
			for _, id := range ids {
				s := suiteOf(t, id)
				secret, err := s.extract(v.IKM, v.Salt)
				if err != nil {
					t.Fatal(err)
				}
				okm, err := hkdf.Expand(s.hash, secret, string(v.Info), v.Size)
				if err != nil {
					return false, ""
				}
				if !bytes.Equal(okm, v.OKM) {
					t.Errorf("%s, vector %d: %v gives other bytes", c.file, v.ID, id)
				}
			}
			return true, ""
		})
	}
}

type macCase struct {
	wycheproofCase
	Key hexBytes `json:"key"`
	Msg hexBytes `json:"msg"`
	Tag hexBytes `json:"tag"`
}

// hmacs runs HMAC as the chains call it. Of the tags, some are cut.
func hmacs(ids ...SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		eachVector(t, c, never, func(g struct{ TagSize int }, v macCase) (bool, string) {
			taken := true
			for _, id := range ids {
				m := hmac.New(suiteOf(t, id).hash, v.Key)
				m.Write(v.Msg)
				taken = taken && bytes.Equal(m.Sum(nil)[:g.TagSize/8], v.Tag)
			}
			return taken, ""
		})
	}
}

type signatureGroup struct {
	PublicKey struct {
		PK hexBytes `json:"pk"`
	} `json:"publicKey"`
}

type signatureCase struct {
	wycheproofCase
	Msg hexBytes `json:"msg"`
	Sig hexBytes `json:"sig"`
}

// signatures are checked as those of keys in package keyfile are, and as those
// of package policy, which is by signed notes.
func signatures(t *testing.T, c *tally) {
	eachVector(t, c, never, func(g signatureGroup, v signatureCase) (bool, string) {
		public := ed25519.PublicKey(g.PublicKey.PK)
		key, err := note.NewEd25519VerifierKey("name", public)
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := note.NewVerifier(key)
		if err != nil {
			t.Fatal(err)
		}
		taken := ed25519.Verify(public, v.Msg, v.Sig)
		if verifier.Verify(v.Msg, v.Sig) != taken {
			t.Errorf("%s, vector %d: package note does not agree", c.file, v.ID)
		}
		return taken, ""
	})
}
