package token

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The floor is the first epoch that is not over. It is on disk before the files
// of epochs below it are deleted, so that no token of them can be spent anew.
// Its file is one header.
const (
	floorName  = "floor"
	floorMagic = "tinker/floor/1\x00\x00"
)

func readFloor(dir string) (uint64, error) {
	path := filepath.Join(dir, floorName)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the first epoch of the spent set: %w", err)
	}
	if len(b) != recordSize {
		return 0, fmt.Errorf("%s: %w", path, damage(0))
	}
	floor := binary.BigEndian.Uint64(b[len(floorMagic):])
	if string(b) != string(header(floorMagic, floor)) {
		return 0, fmt.Errorf("%s: %w", path, damage(0))
	}
	return floor, nil
}

func writeFloor(dir string, d disk, floor uint64) error {
	if err := replaceFile(filepath.Join(dir, floorName), header(floorMagic, floor), d); err != nil {
		return fmt.Errorf("note that epochs before %d are over: %w", floor, err)
	}
	return nil
}

// replaceFile puts a file in its place that is durable as a whole, or leaves
// what was there.
func replaceFile(path string, content []byte, d disk) error {
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = d.write(f, content, 0)
	if err == nil {
		err = d.sync(f)
	}
	// Closed before it is renamed, as Windows wants it.
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
