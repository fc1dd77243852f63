package netmap

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"
)

const (
	// algCosignature is the type of Ed25519 cosignatures
	// (c2sp.org/tlog-cosignature#format).
	algCosignature  = 0x04
	cosignatureSize = 8 + ed25519.SignatureSize
)

// errCosignerKey means that a text is not the verifier key of a witness.
var errCosignerKey = errors.New("not the key of a witness, which has the form NAME+HASH+KEY and begins with B after the last +")

// CosignerKey returns the verifier key of a witness, for the network's file. The
// name is plain text without spaces or +.
func CosignerKey(name string, key ed25519.PublicKey) (string, error) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("name %q of a witness: it has to be plain letters without spaces or +", name)
	}
	if len(key) != ed25519.PublicKeySize {
		return "", fmt.Errorf("the witness's key has %d bytes, not %d", len(key), ed25519.PublicKeySize)
	}
	typed := append([]byte{algCosignature}, key...)
	return fmt.Sprintf("%s+%08x+%s", name, cosignerHash(name, typed), base64.StdEncoding.EncodeToString(typed)), nil
}

func cosignerHash(name string, typed []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return binary.BigEndian.Uint32(sum[:])
}

// NewCosignatureVerifier reads what [CosignerKey] returns. It verifies
// cosignatures of checkpoints, whatever time they name.
func NewCosignatureVerifier(key string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(key, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	typed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(typed) != 1+ed25519.PublicKeySize || typed[0] != algCosignature {
		return nil, errCosignerKey
	}
	want, err := CosignerKey(name, typed[1:])
	if err != nil {
		return nil, err
	}
	if want != key {
		return nil, fmt.Errorf("%w: its hash is %q, and not that of the key", errCosignerKey, hash)
	}
	return cosignatureVerifier{name, cosignerHash(name, typed), typed[1:]}, nil
}

type cosignatureVerifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// Name implements note.Verifier.
func (v cosignatureVerifier) Name() string { return v.name }

// KeyHash implements note.Verifier.
func (v cosignatureVerifier) KeyHash() uint32 { return v.hash }

// Verify implements note.Verifier.
func (v cosignatureVerifier) Verify(text, signature []byte) bool {
	if len(signature) != cosignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	return at < 1<<63 && ed25519.Verify(v.key, cosigned(at, text), signature[8:])
}

// cosigned is what a witness signs: the time, and the checkpoint.
func cosigned(at uint64, text []byte) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...)
}

// A cosigner makes cosignatures.
type cosigner struct {
	note.Verifier
	key ed25519.PrivateKey
	now func() time.Time
}

// NewCosigner returns a signer of checkpoints in the name of a witness
// (c2sp.org/tlog-cosignature, Ed25519). Whoever signs with it says that no
// larger tree of the log was seen before now.
func NewCosigner(name string, key ed25519.PrivateKey, now func() time.Time) (note.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("the witness's key has %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	text, err := CosignerKey(name, ed25519.PublicKey(key[32:])) // RFC 8032: a private key ends with the public one
	if err != nil {
		return nil, err
	}
	v, err := NewCosignatureVerifier(text)
	if err != nil {
		return nil, err
	}
	return cosigner{v, key, now}, nil
}

// Sign implements note.Signer.
func (c cosigner) Sign(text []byte) ([]byte, error) {
	at := c.now().Unix()
	if at < 0 {
		return nil, fmt.Errorf("cosign a checkpoint: the clock says %s: set it", c.now().UTC().Format(time.RFC3339))
	}
	signature := binary.BigEndian.AppendUint64(nil, uint64(at))
	return append(signature, ed25519.Sign(c.key, cosigned(uint64(at), text))...), nil
}
