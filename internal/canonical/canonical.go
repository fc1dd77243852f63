package canonical

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrForm means that bytes are not in the form in which Encode writes them.
var ErrForm = errors.New("decode: not in canonical form")

const (
	maxDepth = 8
	maxPairs = 64 // of one map
)

// Encode returns the value in its only form.
func Encode(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}

// Decode reads what Encode has written, with lists of so many items at most, at
// least 16. The error wraps [ErrForm] if Encode writes the value otherwise.
func Decode(b []byte, v any, items int) error {
	if err := Read(b, v, items); err != nil {
		return err
	}
	again, err := Encode(v)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if !bytes.Equal(again, b) {
		return ErrForm
	}
	return nil
}

// Read is Decode for whoever compares the form on their own.
func Read(b []byte, v any, items int) error {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  items,
		MaxMapPairs:       maxPairs,
	}.DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}
