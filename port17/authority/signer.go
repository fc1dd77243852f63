package authority

import (
	"crypto/ed25519"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// GenerateKey makes an authority's key, which is secret, and its verifier key
// (c2sp.org/signed-note) for the network's file.
func GenerateKey(network string) (key ed25519.PrivateKey, verifier string, err error) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, "", err
	}
	verifier, err = note.NewEd25519VerifierKey(network, public)
	return key, verifier, err
}

// A signer signs notes in the name of a network: what it is called, and the
// hash of its key, are those of its verifier.
type signer struct {
	note.Verifier
	key  ed25519.PrivateKey
	text string // the verifier key
}

// NewSigner returns what signs notes with an authority's key, as GenerateKey
// returns it, in the name of the network.
func NewSigner(network string, key ed25519.PrivateKey) (note.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("the authority's key has %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	public := ed25519.PublicKey(key[32:]) // RFC 8032: a private key ends with the public one
	text, err := note.NewEd25519VerifierKey(network, public)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("sign for the network %q: %w", network, err)
	}
	return signer{verifier, key, text}, nil
}

// Sign implements note.Signer.
func (s signer) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.key, text), nil }
