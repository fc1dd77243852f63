package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"safing/tinker/keyfile"
)

// LoadIdentity reads a node's key from the file at path, and makes one if there
// is none. With a passphrase the file is encrypted; "" is for one that is not.
// Errors are those of [keyfile.Load] and [keyfile.Save].
func LoadIdentity(path, passphrase string) (ed25519.PrivateKey, error) {
	key, err := keyfile.Load[ed25519.PrivateKey](path, passphrase)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make an identity: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make an identity: %w", err)
	}
	if err := keyfile.Save(path, key, keyfile.Options{Passphrase: passphrase}); err != nil {
		return nil, err
	}
	return key, nil
}
