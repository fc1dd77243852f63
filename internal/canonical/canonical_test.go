package canonical_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"safing/internal/canonical"
)

type value struct {
	Name  string   `cbor:"1,keyasint"`
	Items []uint64 `cbor:"2,keyasint,omitempty"`
}

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		name, hex, err string // part of the error; none if empty
	}{
		{"a value", "a1016161", ""},
		{"with a list", "a201616102820102", ""},
		{"an empty list, which is left out", "a201616102" + "80", "canonical"},
		{"keys in another order", "a202820102016161", "canonical"},
		{"a number longer than it has to be", "a20161610281" + "1801", "canonical"},
		{"of indefinite length", "bf016161ff", "indefinite"},
		{"an unknown key", "a2016161036162", "unknown"},
		{"a key twice", "a2016161016162", "duplicate"},
		{"a tag", "a101c06161", "tag"},
		{"more behind it", "a101616100", "extraneous"},
		{"cut off", "a10161", "EOF"},
		{"too many items", "a20161610291" + strings.Repeat("01", 17), "exceeded"},
		{"nothing", "", "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := hex.DecodeString(test.hex)
			if err != nil {
				t.Fatal(err)
			}
			var v value
			err = canonical.Decode(b, &v, 16)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%v, want an error with %q", err, test.err)
			}
			if (test.err == "canonical") != errors.Is(err, canonical.ErrForm) {
				t.Errorf("%v: whether it is ErrForm", err)
			}
		})
	}
}
