package authority

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// encode writes core deterministic CBOR (RFC 8949, 4.2.1), as netmap does.
func encode(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}

// decode reads strictly: what it accepts encodes to the same bytes again.
func decode(b []byte, v any) error {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  maxNodes,
		MaxMapPairs:       16,
	}.DecMode()
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
		return errors.New("decode: not in canonical form")
	}
	return nil
}
