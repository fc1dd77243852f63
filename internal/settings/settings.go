package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// MaxSize is how long a file may be, in bytes.
const MaxSize = 1 << 20

// Load reads a file into values, a pointer to a struct or a map, as Read and
// Decode do.
func Load(path string, values any) error {
	b, err := Read(path)
	if err != nil {
		return err
	}
	return Decode(path, b, values)
}

// Read reads a file, of which there may be MaxSize bytes.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, MaxSize)
	}
	return b, nil
}

// Decode reads the text of a file into values, a pointer to a struct or a map.
// Settings that the struct does not have are errors. Errors begin with
// file:line:column where the file can be blamed for a place.
func Decode(path string, text []byte, values any) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(values)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		e := strict.Errors[0]
		row, column := e.Position()
		return fmt.Errorf("%s:%d:%d: there is no setting %q", path, row, column, strings.Join(e.Key(), "."))
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, row, column, strings.TrimPrefix(e.Error(), "toml: "))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
