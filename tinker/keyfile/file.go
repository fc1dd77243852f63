package keyfile

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Errors of Load.
var (
	ErrEncrypted  = errors.New("the key is encrypted and no passphrase was given")
	ErrPlain      = errors.New("a passphrase was given and the key is not encrypted")
	ErrPassphrase = errors.New("the passphrase is wrong")
)

// Options say how Save writes a key.
type Options struct {
	Passphrase string // encrypts the key; "" keeps it plain
	Replace    bool   // an existing file, which is an error otherwise
}

// Load reads the key of the file at path. K is [ed25519.PrivateKey] or
// [*rsa.PrivateKey], or [crypto.Signer] for a key of any kind.
//
// The passphrase is "" for a key that is not encrypted. The error wraps
// [fs.ErrNotExist] if there is no file, [ErrEncrypted], [ErrPlain] or
// [ErrPassphrase].
func Load[K crypto.Signer](path, passphrase string) (K, error) {
	var none K
	key, err := load(path, passphrase)
	if err != nil {
		return none, fmt.Errorf("load key %s: %w", path, err)
	}
	k, ok := key.(K)
	if !ok {
		return none, fmt.Errorf("load key %s: it is an %s key, and an %s key is needed", path, KindOf(key), KindOf(none))
	}
	return k, nil
}

func load(path, passphrase string) (crypto.Signer, error) {
	// Opening a pipe would wait for somebody to write to it.
	if info, err := os.Stat(path); err != nil {
		return nil, reason(err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	b, err := read(path, maxFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return parse(b, passphrase, maxWorkFactor)
}

// read returns the content of a file that nobody else has access to.
func read(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, reason(err)
	}
	if err := checkAccess(path, info); err != nil {
		return nil, err
	}
	return readBounded(f, limit)
}

// readBounded reads into one buffer, so that growing leaves no copies behind.
func readBounded(r io.Reader, limit int) ([]byte, error) {
	b := make([]byte, limit+1)
	n := 0
	for n <= limit {
		more, err := r.Read(b[n:])
		n += more
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if n <= limit {
				return b[:n], nil
			}
		default:
			clear(b)
			return nil, reason(err)
		}
	}
	clear(b)
	return nil, errTooLarge
}

// Save writes a key to the file at path: all of it or nothing, and for its
// owner alone. The error wraps [fs.ErrExist] if there is a file and
// o.Replace is not set. The folder has to be there.
func Save(path string, key crypto.Signer, o Options) error {
	if err := save(path, key, o); err != nil {
		return fmt.Errorf("save key %s: %w", path, err)
	}
	return nil
}

func save(path string, key crypto.Signer, o Options) error {
	if o.Replace {
		// The file that a link leads to is replaced, not the link: the old key
		// would stay behind.
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
	} else if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	b, err := encode(key, o.Passphrase, workFactor)
	if err != nil {
		return err
	}
	defer clear(b)
	return write(path, b, o.Replace)
}

func write(path string, b []byte, replace bool) error {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return fmt.Errorf("make a file in %s: %w", folder, reason(err))
	}
	_, err = temp.Write(b)
	err = errors.Join(err, temp.Sync(), temp.Close())
	switch {
	case err != nil:
	case replace:
		err = os.Rename(temp.Name(), path)
	default:
		err = os.Link(temp.Name(), path) // unlike Rename it replaces nothing
	}
	if err != nil || !replace {
		err = errors.Join(err, os.Remove(temp.Name()))
	}
	if err != nil {
		return reason(err)
	}
	return syncFolder(folder)
}

// reason is what went wrong, without the path: the caller names it.
func reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
