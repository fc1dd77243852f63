package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// recall reads the newest policy seen, or returns the floor's default. The
// file is the policy as it was signed, so it vouches for itself: it counts
// only while the floor's verifiers have signed it.
func recall(path string, floor *Floor) (*seen, error) {
	signed, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &seen{policy: floor.defaultPolicy()}, nil
	}
	if err != nil {
		return nil, err
	}
	text, _, err := readNote(signed, floor.Verifiers)
	if err != nil {
		return nil, damaged(path, err)
	}
	p, err := parse(text)
	if err != nil {
		return nil, damaged(path, err)
	}
	if p.Network != floor.Network {
		return nil, fmt.Errorf("%s is of the network %q, not %q: give each network a file of its own", path, p.Network, floor.Network)
	}
	if p.Version < floor.Version {
		// This build's floor is newer than what was seen, and its default too.
		return &seen{policy: floor.defaultPolicy()}, nil
	}
	s := &seen{policy: p, text: text}
	// A new build may have other keys, or forbid what the old one didn't. Then
	// the policy allows nothing, and still none before it is taken.
	_, err = open(signed, floor.Threshold, floor.Verifiers)
	if err == nil {
		err = floor.admit(p)
	}
	if err != nil {
		// Not wrapped: why the policy is void is not why a suite may not be used.
		s.void = fmt.Errorf("%w (version %d, seen before, does not agree with this build: %v)", ErrExpired, p.Version, err)
	}
	return s, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged: restore it, or remove it when you are sure that the next policy to arrive is not an old one: %w", path, err)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSigned+1))
}

// remember replaces the file in one step, and returns when a crash of the
// machine can't undo it. A crash before leaves the old file, and perhaps a new
// one beside it that nothing reads.
func remember(path string, signed []byte) error {
	beside := path + ".new"
	f, err := os.OpenFile(beside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	_, err = f.Write(signed)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		return fmt.Errorf("remember: %w", errors.Join(err, os.Remove(beside)))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("remember: %w", err)
	}
	return nil
}
