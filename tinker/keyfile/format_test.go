package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"pgregory.net/rapid"
)

// Enough work for tests.
const testWork = 4

// rfc8410 is the key of RFC 8410, section 10.3.
const rfc8410 = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
`

func TestVector(t *testing.T) {
	key, err := parse([]byte(rfc8410), "", testWork)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(key.Public().(ed25519.PublicKey)), "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"; got != want {
		t.Errorf("the public key is %s, want %s", got, want)
	}
	if b, err := encode(key, "", testWork); err != nil || string(b) != rfc8410 {
		t.Errorf("written again: %q, %v", b, err)
	}
	// openssl pkey -pubout -outform DER | sha256sum
	if got, err := Fingerprint(key.Public()); err != nil || got != "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f" {
		t.Errorf("the fingerprint is %s, %v", got, err)
	}
}

func TestRoundTrip(t *testing.T) {
	issuer, err := Generate(RSA)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		key := issuer
		if rapid.Bool().Draw(t, "ed25519") {
			key = ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		}
		passphrase := rapid.String().Draw(t, "passphrase")
		b, err := encode(key, passphrase, testWork)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(b, passphrase, testWork)
		if err != nil || !equal(got, key) {
			t.Fatalf("read again: %v", err)
		}
		if _, err := parse(b, passphrase+"x", testWork); err == nil {
			t.Error("another passphrase opens it, too")
		}
		end := rapid.IntRange(0, len(b)-2).Draw(t, "end")
		if _, err := parse(b[:end], passphrase, testWork); err == nil {
			t.Errorf("it is read although only %d of %d bytes are left", end, len(b))
		}
	})
}

func equal(a, b crypto.Signer) bool {
	return a.(interface{ Equal(crypto.PrivateKey) bool }).Equal(b)
}

func TestParseErrors(t *testing.T) {
	const passphrase = "correct horse"
	key, err := parse([]byte(rfc8410), "", testWork)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encode(key, passphrase, testWork)
	if err != nil {
		t.Fatal(err)
	}
	heavy, err := encode(key, passphrase, testWork+1)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(sealed), "\n")
	for name, test := range map[string]struct{ file, passphrase, want string }{
		"empty":                {"", "", "it is empty"},
		"spaces":               {" \n\n", "", "it is empty"},
		"text":                 {"hello\n", "", "it is not a key file: it does not begin with -----BEGIN PRIVATE KEY-----"},
		"text and passphrase":  {"hello\n", passphrase, "it is not a key file"},
		"certificate":          {strings.ReplaceAll(rfc8410, "PRIVATE KEY", "CERTIFICATE"), "", `it holds a "CERTIFICATE" and not a "PRIVATE KEY"`},
		"no last line":         {rfc8410[:100], "", "it is truncated: its last line is missing"},
		"not base64":           {strings.Replace(rfc8410, "MC4C", "M*4C", 1), "", "it is damaged"},
		"not PKCS #8":          {strings.Replace(rfc8410, "MC4C", "MC4D", 1), "", "it is damaged"},
		"two keys":             {rfc8410 + rfc8410, "", "it holds more than a key"},
		"headers":              {strings.Replace(rfc8410, "MC4C", "Kind: node\n\nMC4C", 1), "", "it holds more than a key"},
		"another algorithm":    {pkcs8(t), "", "the key in it is neither Ed25519 nor RSA"},
		"too large":            {rfc8410 + strings.Repeat("\n", maxFile), "", "too large for a key file: more than 16 KiB"},
		"not encrypted":        {rfc8410, passphrase, ErrPlain.Error()},
		"no passphrase":        {string(sealed), "", ErrEncrypted.Error()},
		"wrong passphrase":     {string(sealed), "battery staple", ErrPassphrase.Error()},
		"no last armor line":   {strings.Join(lines[:3], ""), passphrase, "it is truncated: its last line is missing"},
		"a lost armor line":    {strings.Join(append(lines[:5:5], lines[6:]...), ""), passphrase, "it is truncated or damaged"},
		"text after the armor": {string(sealed) + "x", passphrase, "it is truncated or damaged"},
		"too much work":        {string(heavy), passphrase, "asks for work of 2^5, more than 2^4"},
		"endless work":         {ageIntro + "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 99999999999999999999\n\n", passphrase, "it is truncated or damaged"},
		"for a recipient":      {recipient(t), passphrase, "it is encrypted, but not with a passphrase"},
		"other text inside":    {inside(t, "hello", passphrase), passphrase, "it is not a key file"},
		"too large inside":     {inside(t, strings.Repeat("\n", maxFile), passphrase), passphrase, "too large"},
		"a cut stream":         {cut(t, sealed), passphrase, "it is truncated or damaged"},
	} {
		got, err := parse([]byte(test.file), test.passphrase, testWork)
		if got != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

// pkcs8 returns a key that is not for this package.
func pkcs8(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encode(key, "", testWork); err == nil {
		t.Error("a key of another algorithm is written")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
}

// inside returns an encrypted text.
func inside(t *testing.T, text, passphrase string) string {
	t.Helper()
	b, err := seal([]byte(text), passphrase, testWork)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recipient returns a text encrypted to a public key, without armor.
func recipient(t *testing.T) string {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// cut returns a file whose armor is whole and whose content is not.
func cut(t *testing.T, sealed []byte) string {
	t.Helper()
	b := dearmor(t, sealed)
	var out bytes.Buffer
	w := armor.NewWriter(&out)
	_, err := w.Write(b[:len(b)-1])
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func dearmor(t *testing.T, sealed []byte) []byte {
	t.Helper()
	b, err := readBounded(armor.NewReader(bytes.NewReader(sealed)), maxFile)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWithoutArmor(t *testing.T) {
	key, err := Generate(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encode(key, "p", testWork)
	if err != nil {
		t.Fatal(err)
	}
	b := dearmor(t, sealed)
	if got, err := parse(b, "p", testWork); err != nil || !equal(got, key) {
		t.Errorf("a file without armor: %v", err)
	}
	for end := range b {
		if _, err := parse(b[:end], "p", testWork); err == nil {
			t.Fatalf("it is read although only %d of %d bytes are left", end, len(b))
		}
	}
}

func TestGenerateErrors(t *testing.T) {
	if _, err := Generate("DSA"); err == nil || !strings.Contains(err.Error(), "use Ed25519 or RSA") {
		t.Errorf("a key of an unknown kind: %v", err)
	}
	if _, err := encode(ed25519.PrivateKey("short"), "", testWork); err == nil {
		t.Error("a key of five bytes is written")
	}
	if _, err := Fingerprint("none"); err == nil {
		t.Error("what is no key has a fingerprint")
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte, passphrase string) {
		key, err := parse(b, passphrase, testWork)
		if err != nil {
			return
		}
		if sealed(b) != (passphrase != "") {
			t.Errorf("read with the passphrase %q", passphrase)
		}
		again, err := encode(key, "", testWork)
		if errors.Is(err, errTooLarge) {
			return // line breaks that the input did without
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parse(again, "", testWork); err != nil || !equal(got, key) {
			t.Errorf("read again: %v", err)
		}
	})
}
