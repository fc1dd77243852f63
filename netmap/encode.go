package netmap

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// maxItems is how long a list in a descriptor or in keys may be.
const maxItems = 1024

// encode writes core deterministic CBOR (RFC 8949, 4.2.1).
func encode(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}

// decode reads strictly: what it accepts encodes to the same bytes again.
func decode(b []byte, v any) error {
	mode, err := decodeOptions(maxItems).DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	again, err := encode(v)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if !bytes.Equal(again, b) {
		return errNotCanonical
	}
	return nil
}

var errNotCanonical = errors.New("decode: not in canonical form")

// decodeOptions are for what strangers send.
func decodeOptions(items int) cbor.DecOptions {
	return cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  items,
		MaxMapPairs:       64,
	}
}
