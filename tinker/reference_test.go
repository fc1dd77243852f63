package tinker

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// The reference reads sessions as docs/spec/tinker.md tells, with no thought
// of speed: it derives each message's key from the root anew.
type reference struct {
	suite             SuiteID
	root              []byte
	th                [32]byte
	forward, backward *referenceChain
	next              *referenceChain // forward, once the initiator changes to it
}

type referenceChain struct {
	suite  SuiteID
	secret []byte
	th     [32]byte
	past   []referenceMessage
}

type referenceMessage struct {
	size int
	step bool
}

var errReference = errors.New("the reference can't open this")

func newReference(id SuiteID, root []byte, th [32]byte) *reference {
	r := &reference{suite: id, root: root, th: th}
	r.forward, r.backward = r.chain("tinker forward v1"), r.chain("tinker backward v1")
	return r
}

func referenceHash(id SuiteID) func() hash.Hash {
	if id == TK3 {
		return sha512.New384
	}
	return sha256.New
}

func referenceAEAD(id SuiteID, key []byte) cipher.AEAD {
	if id == TK2 {
		a, _ := chacha20poly1305.New(key)
		return a
	}
	block, _ := aes.NewCipher(key)
	a, _ := cipher.NewGCM(block)
	return a
}

func referenceExpand(id SuiteID, secret []byte, label string, th [32]byte, size int) []byte {
	info := label + "\x00" + string([]byte{byte(id >> 8), byte(id)}) + string(th[:])
	b, _ := hkdf.Expand(referenceHash(id), secret, info, size)
	return b
}

// referenceNext is a root's share in the next one.
func referenceNext(id SuiteID, root, th []byte) []byte {
	return referenceExpand(id, root, "tinker next root v1", [32]byte(th), len(root))
}

func (r *reference) chain(label string) *referenceChain {
	size := referenceHash(r.suite)().Size()
	return &referenceChain{suite: r.suite, secret: referenceExpand(r.suite, r.root, label, r.th, size), th: r.th}
}

// open returns the message with its type and flags.
func (c *referenceChain) open(sealed []byte) ([]byte, error) {
	mac := func(ck []byte, n byte) []byte {
		m := hmac.New(referenceHash(c.suite), ck)
		m.Write([]byte{n})
		m.Write([]byte("tinker chain v1\x00"))
		m.Write([]byte{byte(c.suite >> 8), byte(c.suite)})
		m.Write(c.th[:])
		return m.Sum(nil)
	}
	ck, key := mac(c.secret, 2), mac(c.secret, 1)
	count, units := 0, 0
	for _, m := range c.past {
		count++
		units += max(1, (m.size+4095)/4096)
		if m.step || units >= 64 {
			ck, key = mac(ck, 2), mac(ck, 1)
			count, units = 0, 0
		}
	}
	nonce := binary.BigEndian.AppendUint64(make([]byte, 4), uint64(count))
	plain, err := referenceAEAD(c.suite, key[:32]).Open(nil, nonce, sealed, nil)
	if err != nil {
		return nil, errReference
	}
	c.past = append(c.past, referenceMessage{len(sealed), plain[0]&0x80 != 0})
	return plain, nil
}

func (r *reference) openForward(sealed []byte) ([]byte, error) {
	plain, err := r.forward.open(sealed)
	if err == nil && plain[0]&0x40 != 0 {
		r.forward = r.next
	}
	return plain, err
}

// openBackward opens an ACCEPT, too, with the private key of its offer.
func (r *reference) openBackward(sealed []byte, offer []byte, private hpke.PrivateKey) ([]byte, error) {
	plain, err := r.backward.open(sealed)
	if err != nil || plain[0]&0x40 == 0 {
		return plain, err
	}
	return plain, r.step(offer, plain[1:], private)
}

func (r *reference) step(offer, accept []byte, private hpke.PrivateKey) error {
	salt := referenceNext(r.suite, r.root, r.th[:])
	r.suite = SuiteID(binary.BigEndian.Uint16(offer))
	kdf := hpke.HKDFSHA256()
	if r.suite == TK3 {
		kdf = hpke.HKDFSHA384()
	}
	info := append(append([]byte("tinker ratchet v1\x00"), r.th[:]...), offer[:2]...)
	secret, err := hpke.NewRecipient(accept, private, kdf, hpke.ExportOnly(), info)
	if err != nil {
		return err
	}
	h := referenceHash(r.suite)
	ikm, _ := secret.Export("tinker ratchet secret v1", h().Size())
	r.root, _ = hkdf.Extract(h, ikm, salt)
	sum := h()
	sum.Write([]byte("tinker transcript ratchet v1\x00"))
	for _, part := range [][]byte{r.th[:], offer, accept} {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write(part)
	}
	r.th = [32]byte(sum.Sum(nil)[:32])
	r.next, r.backward = r.chain("tinker forward v1"), r.chain("tinker backward v1")
	return nil
}

// rootOf is the root of the session that the reply leads to, which the session
// itself forgets.
func rootOf(t testing.TB, i *Initiator, reply []byte) []byte {
	t.Helper()
	enc := reply[replyHeader : replyHeader+i.suite.encSize]
	secret, err := hpke.NewRecipient(enc, i.ephemeral, i.suite.kdf, hpke.ExportOnly(), replyInfo(i.first.th))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := deriveSession(i.suite, secret.Export, i.first, enc)
	if err != nil {
		t.Fatal(err)
	}
	return keys.root
}

// nextRootOf is the root that a step leads to.
func nextRootOf(t testing.TB, s *Session, accept []byte) []byte {
	t.Helper()
	to := s.offer.suite
	secret, err := hpke.NewRecipient(accept, s.offer.private, to.kdf, hpke.ExportOnly(), s.stepInfo(s.offer.message))
	if err != nil {
		t.Fatal(err)
	}
	exported, err := secret.Export("tinker ratchet secret v1", to.secretSize())
	if err != nil {
		t.Fatal(err)
	}
	root, err := to.extract(exported, s.next)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
