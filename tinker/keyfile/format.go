package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	maxFile  = 16 << 10 // bytes; an RSA key of 8192 bits, encrypted, has 9 KiB
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemType  = "PRIVATE KEY"
)

// encode returns what a file holds. Whoever calls it clears that.
func encode(key crypto.Signer, passphrase string, work int) ([]byte, error) {
	if KindOf(key) == "" {
		return nil, fmt.Errorf("a key of the type %T cannot be kept", key)
	}
	if k, ok := key.(ed25519.PrivateKey); ok && len(k) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519.PrivateKeySize, len(k))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	// With room for all of it, the buffer leaves no copies behind as it grows.
	plain := bytes.NewBuffer(make([]byte, 0, maxFile))
	if err := pem.Encode(plain, &pem.Block{Type: pemType, Bytes: der}); err != nil {
		return nil, err
	}
	if passphrase == "" {
		return fits(plain.Bytes())
	}
	defer clear(plain.Bytes())
	sealed, err := seal(plain.Bytes(), passphrase, work)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return fits(sealed)
}

func fits(b []byte) ([]byte, error) {
	if len(b) > maxFile {
		clear(b)
		return nil, errTooLarge
	}
	return b, nil
}

var errTooLarge = fmt.Errorf("it is too large for a key file: more than %d KiB", maxFile>>10)

// parse reads what a file holds, with at most 2 to the power of maxWork of
// scrypt's work.
func parse(b []byte, passphrase string, maxWork int) (crypto.Signer, error) {
	if len(b) > maxFile {
		return nil, errTooLarge
	}
	if !sealed(b) {
		key, err := parsePlain(b)
		if err == nil && passphrase != "" {
			return nil, ErrPlain
		}
		return key, err
	}
	if passphrase == "" {
		return nil, ErrEncrypted
	}
	plain, err := open(b, passphrase, maxWork)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parsePlain(plain)
}

func parsePlain(b []byte) (crypto.Signer, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil, errors.New("it is empty")
	}
	if !bytes.HasPrefix(b, []byte(pemBegin)) {
		return nil, fmt.Errorf("it is not a key file: it does not begin with %s%s-----", pemBegin, pemType)
	}
	block, rest := pem.Decode(b)
	if block == nil {
		if !bytes.Contains(b, []byte(pemEnd)) {
			return nil, errors.New("it is truncated: its last line is missing")
		}
		return nil, errors.New("it is damaged: what is between its first and last line is not PEM")
	}
	defer clear(block.Bytes)
	switch {
	case block.Type != pemType:
		return nil, fmt.Errorf("it is not a key file: it holds a %.40q and not a %q", block.Type, pemType)
	case len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("it holds more than a key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok || KindOf(key) == "" {
		return nil, errors.New("the key in it is neither Ed25519 nor RSA")
	}
	return key, nil
}
