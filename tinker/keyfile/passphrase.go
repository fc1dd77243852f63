package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Work of scrypt, as powers of two. Each takes 1 KiB of memory times N: 2^17 is
// 128 MiB and about half a second, which small servers have to spare when they
// start. The age tool itself writes 2^18.
const (
	workFactor    = 17
	maxWorkFactor = 20
)

const maxPassphrase = 1 << 10 // bytes

const ageIntro = "age-encryption.org/v1\n"

func sealed(b []byte) bool {
	return bytes.HasPrefix(b, []byte(ageIntro)) || armored(b)
}

func armored(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(b), []byte(armor.Header))
}

func seal(plain []byte, passphrase string, work int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(work)
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, recipient)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	err = errors.Join(err, w.Close(), a.Close())
	return out.Bytes(), err
}

// open decrypts an age file. Whoever calls it clears what it returns.
func open(b []byte, passphrase string, maxWork int) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	identity.SetMaxWorkFactor(maxWork)
	var r io.Reader = bytes.NewReader(b)
	if armored(b) {
		if !bytes.Contains(b, []byte(armor.Footer)) {
			return nil, errors.New("it is truncated: its last line is missing")
		}
		r = armor.NewReader(r)
	}
	r, err = age.Decrypt(r, bounded{identity, maxWork})
	var own *refusal
	if errors.As(err, &own) {
		return nil, own.reason
	}
	if err != nil {
		return nil, fmt.Errorf("it is truncated or damaged: %w", err)
	}
	plain, err := readBounded(r, maxFile)
	if err != nil && !errors.Is(err, errTooLarge) {
		err = fmt.Errorf("it is truncated or damaged: %w", err)
	}
	return plain, err
}

// bounded asks an identity only for what this package writes, and says why it
// does not.
type bounded struct {
	identity *age.ScryptIdentity
	maxWork  int
}

type refusal struct{ reason error }

func (r *refusal) Error() string { return r.reason.Error() }

// Unwrap implements age.Identity.
func (b bounded) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, &refusal{errors.New("it is encrypted, but not with a passphrase")}
	}
	if args := stanzas[0].Args; len(args) == 2 {
		if work, err := strconv.Atoi(args[1]); err == nil && work > b.maxWork {
			return nil, &refusal{fmt.Errorf("its passphrase asks for work of 2^%d, more than 2^%d", work, b.maxWork)}
		}
	}
	key, err := b.identity.Unwrap(stanzas)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, &refusal{ErrPassphrase}
	}
	return key, err
}

// ReadPassphrase reads a passphrase from the file at path: its only line. The
// file may be a pipe. Access to it is checked as that to a key is.
func ReadPassphrase(path string) (string, error) {
	b, err := read(path, maxPassphrase)
	if errors.Is(err, errTooLarge) {
		err = fmt.Errorf("it has more than %d bytes", maxPassphrase)
	}
	if err != nil {
		return "", fmt.Errorf("read passphrase %s: %w", path, err)
	}
	defer clear(b)
	line := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case line == "":
		return "", fmt.Errorf("read passphrase %s: its first line is empty", path)
	case strings.ContainsAny(line, "\r\n"):
		return "", fmt.Errorf("read passphrase %s: it has more than one line", path)
	}
	return line, nil
}
