package keyfile

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
)

// A Kind is the algorithm of a key.
type Kind string

// The kinds that can be kept.
const (
	Ed25519 Kind = "Ed25519"
	RSA     Kind = "RSA"
)

// rsaBits is the size that RFC 9578, section 6, fixes for token issuers.
const rsaBits = 2048

// Generate makes a key. RSA keys have 2048 bits, as those of token issuers.
func Generate(kind Kind) (crypto.Signer, error) {
	switch kind {
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("generate a key of the kind %q: use %s or %s", kind, Ed25519, RSA)
}

// KindOf returns "" for a key that cannot be kept.
func KindOf(key crypto.Signer) Kind {
	switch key.(type) {
	case ed25519.PrivateKey:
		return Ed25519
	case *rsa.PrivateKey:
		return RSA
	}
	return ""
}

// Fingerprint is short for a public key: the SHA-256 of its SubjectPublicKeyInfo
// (RFC 5280), as openssl pkey -pubout -outform DER | sha256sum prints it.
func Fingerprint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
