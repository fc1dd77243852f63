package token

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestChallengeEncoding(t *testing.T) {
	const epoch = "000000000000000000000000000000000000000000000000" + "0123456789abcdef"
	tests := []struct {
		name      string
		challenge Challenge
		want      string
	}{
		{
			"credit", CreditChallenge("a.b", 0x0123456789abcdef),
			"0002" + "0003" + hex.EncodeToString([]byte("a.b")) + "20" + epoch + "0000",
		},
		{
			"spend", SpendChallenge("a.b", [32]byte{}, 0x0123456789abcdef),
			"0002" + "0003" + hex.EncodeToString([]byte("a.b")) + "20" + epoch + "0034" + strings.Repeat("61", 52),
		},
		{"bare", Challenge{Issuer: "a"}, "0002" + "0001" + "61" + "00" + "0000"},
	}
	for _, test := range tests {
		got, err := test.challenge.Encode()
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%s: got %x, %v; want %s", test.name, got, err, test.want)
		}
		back, err := ParseChallenge(got)
		if err != nil || back.Issuer != test.challenge.Issuer || back.Origin != test.challenge.Origin || !bytes.Equal(back.Context, test.challenge.Context) {
			t.Errorf("%s: read back as %+v, %v", test.name, back, err)
		}
		for n := range got {
			if _, err := ParseChallenge(got[:n]); err == nil {
				t.Errorf("%s: its first %d bytes are taken", test.name, n)
			}
		}
		if _, err := ParseChallenge(append(got, 0)); err == nil {
			t.Errorf("%s: taken with a byte too many", test.name)
		}
	}
}

func TestChallengeRefuses(t *testing.T) {
	long := strings.Repeat("a", 70000)
	tests := []struct {
		challenge Challenge
		want      string
	}{
		{Challenge{}, "without an issuer"},
		{Challenge{Issuer: long}, "70000 bytes"},
		{Challenge{Issuer: long[:256]}, "256 bytes"},
		{Challenge{Issuer: "a", Origin: long}, "70000 bytes"},
		{Challenge{Issuer: "a", Origin: long[:2048]}, "2048 bytes"},
		{Challenge{Issuer: "a", Context: make([]byte, 31)}, "31 bytes"},
		{Challenge{Issuer: "a", Context: make([]byte, 33)}, "33 bytes"},
		{Challenge{Issuer: "a b"}, "printable"},
		{Challenge{Issuer: "\xc3\xa4"}, "printable"},
		{Challenge{Issuer: "a", Origin: "a\x00"}, "printable"},
		{Challenge{Issuer: "a", Origin: "a\x7f"}, "printable"},
	}
	for _, test := range tests {
		if _, err := test.challenge.Encode(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	for _, encoded := range []string{
		"0001" + "0001" + "61" + "00" + "0000",               // another type
		"0002" + "0000" + "00" + "0000",                      // no issuer
		"0002" + "0001" + "61" + "01" + "00" + "0000",        // context of one byte
		"0002" + "0001" + "61" + "00" + "ffff",               // origin that is not there
		"0002" + "0001" + "0a" + "00" + "0000",               // newline for a name
		"0002" + "0001" + "61" + "00" + "0001" + "61" + "00", // something behind it
	} {
		b, _ := hex.DecodeString(encoded)
		if c, err := ParseChallenge(b); err == nil {
			t.Errorf("%s is taken as %+v", encoded, c)
		}
	}
}
