package tinker

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"testing"
)

// A half is what is fixed of a hybrid KEM while vectors go through the other
// half: a private key of each, and an encapsulated secret for it.
type half struct {
	suite *suite
	label string // of the hybrid
	curve ecdh.Curve

	pq               crypto.Decapsulator
	pqSecret, pqEnc  []byte
	dh               *ecdh.PrivateKey
	dhSecret, dhEnc  []byte
	pqPublic, public int // sizes
}

func newHalf(t *testing.T, id SuiteID) *half {
	t.Helper()
	seed := bytes.Repeat([]byte{7}, mlkem.SeedSize)
	h := &half{suite: suiteOf(t, id)}
	if id == TK3 {
		h.label, h.curve, h.pqPublic = "MLKEM1024-P384", ecdh.P384(), mlkem.EncapsulationKeySize1024
	} else {
		h.label, h.curve, h.pqPublic = `\.//^\`, ecdh.X25519(), mlkem.EncapsulationKeySize768
	}
	h.public = h.suite.publicSize - h.pqPublic
	var err error
	if h.pq, err = h.decapsulator(seed); err != nil {
		t.Fatal(err)
	}
	h.pqSecret, h.pqEnc = h.pq.Encapsulator().Encapsulate()
	if h.dh, err = h.curve.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	other, err := h.curve.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.dhEnc = other.PublicKey().Bytes()
	if h.dhSecret, err = h.dh.ECDH(other.PublicKey()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *half) decapsulator(seed []byte) (crypto.Decapsulator, error) {
	if h.curve == ecdh.P384() {
		return mlkem.NewDecapsulationKey1024(seed)
	}
	return mlkem.NewDecapsulationKey768(seed)
}

// encapsulate is that of FIPS 203 with chosen randomness, which HPKE has no
// way to choose.
func (h *half) encapsulate(public, random []byte) (secret, enc []byte, err error) {
	if h.curve == ecdh.P384() {
		key, err := mlkem.NewEncapsulationKey1024(public)
		if err != nil {
			return nil, nil, err
		}
		return mlkemtest.Encapsulate1024(key, random)
	}
	key, err := mlkem.NewEncapsulationKey768(public)
	if err != nil {
		return nil, nil, err
	}
	return mlkemtest.Encapsulate768(key, random)
}

// decapsulates says whether the suite takes the encapsulated secret as it does
// in a reply. Then it must have found the given secrets.
func (h *half) decapsulates(t *testing.T, pq crypto.Decapsulator, dh *ecdh.PrivateKey, pqEnc, dhEnc, pqSecret, dhSecret []byte) bool {
	t.Helper()
	private, err := hpke.NewHybridPrivateKey(pq, dh)
	if err != nil {
		t.Fatal(err)
	}
	if private.KEM() != h.suite.kem {
		t.Fatal("this is not the suite's KEM")
	}
	enc := append(bytes.Clone(pqEnc), dhEnc...)
	r, err := hpke.NewRecipient(enc, private, h.suite.kdf, hpke.ExportOnly(), []byte("info"))
	if err != nil {
		return false
	}
	got, err := r.Export("context", 32)
	if err != nil {
		t.Fatal(err)
	}
	shared := referenceHybrid(h.label, pqSecret, dhSecret, dhEnc, dh.PublicKey().Bytes())
	c := newReferenceContext(t, h.suite.kem.ID(), h.suite.kdf.ID(), hpkeExportOnly, shared, []byte("info"))
	if !bytes.Equal(got, c.export([]byte("context"), 32)) {
		t.Errorf("the KEM of %v found another secret", h.suite.id)
	}
	return true
}

// takes says whether the suite encapsulates to a public key that somebody
// sends, in a hello or an offer.
func (h *half) takes(pqPublic, dhPublic []byte) bool {
	public, err := h.suite.kem.NewPublicKey(append(bytes.Clone(pqPublic), dhPublic...))
	if err != nil {
		return false
	}
	_, _, err = hpke.NewSender(public, h.suite.kdf, hpke.ExportOnly(), nil)
	return err == nil
}

type mlkemCase struct {
	wycheproofCase
	Seed   hexBytes `json:"seed"`
	Random hexBytes `json:"m"`
	Public hexBytes `json:"ek"`
	Enc    hexBytes `json:"c"`
	Secret hexBytes `json:"K"`
}

// decapsulation runs the other half of the hybrid with a fixed key.
func decapsulation(id SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		h := newHalf(t, id)
		eachVector(t, c, never, func(_ struct{}, v mlkemCase) (bool, string) {
			pq, err := h.decapsulator(v.Seed)
			if err != nil {
				return false, ""
			}
			if v.Result == "valid" && !bytes.Equal(h.pqPublicOf(t, pq), v.Public) {
				t.Errorf("%s, vector %d: another public key", c.file, v.ID)
			}
			return h.decapsulates(t, pq, h.dh, v.Enc, h.dhEnc, v.Secret, h.dhSecret), ""
		})
	}
}

// pqPublicOf is the public key as the suite sends it, without the other half.
func (h *half) pqPublicOf(t *testing.T, pq crypto.Decapsulator) []byte {
	t.Helper()
	private, err := hpke.NewHybridPrivateKey(pq, h.dh)
	if err != nil {
		t.Fatal(err)
	}
	return private.PublicKey().Bytes()[:h.pqPublic]
}

func encapsulation(id SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		h := newHalf(t, id)
		eachVector(t, c, never, func(_ struct{}, v mlkemCase) (bool, string) {
			taken := h.takes(v.Public, h.dhEnc)
			secret, enc, err := h.encapsulate(v.Public, v.Random)
			if taken != (err == nil) {
				t.Errorf("%s, vector %d: crypto/mlkem says %v", c.file, v.ID, err)
			}
			if taken && (!bytes.Equal(secret, v.Secret) || !bytes.Equal(enc, v.Enc)) {
				t.Errorf("%s, vector %d: another secret", c.file, v.ID)
			}
			return taken, ""
		})
	}
}

// keyGeneration compares public keys. Expanded private keys are nowhere to be
// had.
func keyGeneration(id SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		h := newHalf(t, id)
		eachVector(t, c, never, func(_ struct{}, v mlkemCase) (bool, string) {
			pq, err := h.decapsulator(v.Seed)
			if err != nil {
				return false, ""
			}
			return bytes.Equal(h.pqPublicOf(t, pq), v.Public), ""
		})
	}
}

type exchangeCase struct {
	wycheproofCase
	Public  hexBytes `json:"public"`
	Private hexBytes `json:"private"`
	Shared  hexBytes `json:"shared"`
}

// exchange runs ML-KEM with a fixed key. Of the acceptable vectors, the suites
// must refuse secrets that are zero, as RFC 7748, section 6.1, lets them, and
// compressed points, which have another size; they take points on the twist and
// numbers that are not reduced, as section 5 says.
func exchange(id SuiteID) func(*testing.T, *tally) {
	return func(t *testing.T, c *tally) {
		h := newHalf(t, id)
		rule := func(v wycheproofCase) bool { return !v.has("ZeroSharedSecret") && !v.has("CompressedPublic") }
		eachVector(t, c, rule, func(_ struct{}, v exchangeCase) (bool, string) {
			if testing.Short() && v.has("EdgeCaseDoubling") {
				return false, "in short tests" // most of P-384's, which is slow
			}
			private, err := h.curve.NewPrivateKey(h.scalar(v.Private))
			if err != nil {
				t.Fatalf("%s, vector %d: %v", c.file, v.ID, err)
			}
			taken := h.decapsulates(t, h.pq, private, h.pqEnc, v.Public, h.pqSecret, v.Shared)
			if !taken && h.takes(h.pq.Encapsulator().Bytes(), v.Public) {
				t.Errorf("%s, vector %d: refused in a reply, but taken as a public key", c.file, v.ID)
			}
			return taken, ""
		})
	}
}

// scalar gives a private key of P-384, which the vectors have as a number, its
// size.
func (h *half) scalar(b []byte) []byte {
	if h.curve != ecdh.P384() {
		return b
	}
	b = bytes.TrimLeft(b, "\x00")
	return append(make([]byte, 48-len(b)), b...)
}
