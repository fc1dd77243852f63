package token

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

// The vectors of RFC 9578, Appendix A.2, from the challenge to the token.
func TestRFC9578(t *testing.T) {
	key, vectors := rfc9578(t)
	block, _ := pem.Decode(key["skS"])
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := NewIssuer(private.(*rsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(issuer.Key().Encode(), key["pkS"]) {
		t.Errorf("the key encodes to\n%x, want\n%x", issuer.Key().Encode(), key["pkS"])
	}
	public, err := ParseIssuerKey(key["pkS"])
	if err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 5 {
		t.Fatalf("%d vectors, want 5", len(vectors))
	}
	for i, v := range vectors {
		challenge, err := ParseChallenge(v["token_challenge"])
		if err != nil {
			t.Fatalf("vector %d: %v", i+1, err)
		}
		if again, err := challenge.Encode(); err != nil || !bytes.Equal(again, v["token_challenge"]) {
			t.Errorf("vector %d: the challenge encodes to %x, %v", i+1, again, err)
		}
		random := io.MultiReader(bytes.NewReader(v["nonce"]), bytes.NewReader(v["salt"]), bytes.NewReader(v["blind"]))
		pending, request, err := public.blind(random, challenge)
		if err != nil {
			t.Fatalf("vector %d: %v", i+1, err)
		}
		if !bytes.Equal(request.Encode(), v["token_request"]) {
			t.Errorf("vector %d: the request is\n%x, want\n%x", i+1, request.Encode(), v["token_request"])
		}
		response, err := issuer.Sign(request)
		if err != nil {
			t.Fatalf("vector %d: %v", i+1, err)
		}
		if !bytes.Equal(response[:], v["token_response"]) {
			t.Errorf("vector %d: the response is\n%x, want\n%x", i+1, response, v["token_response"])
		}
		made, err := pending.Finish(response)
		if err != nil {
			t.Fatalf("vector %d: %v", i+1, err)
		}
		if !bytes.Equal(made.Encode(), v["token"]) {
			t.Errorf("vector %d: the token is\n%x, want\n%x", i+1, made.Encode(), v["token"])
		}
		read, err := ParseToken(v["token"])
		if err != nil {
			t.Fatalf("vector %d: %v", i+1, err)
		}
		if err := public.Verify(read, challenge); err != nil {
			t.Errorf("vector %d: %v", i+1, err)
		}
	}
}

// rfc9578 reads testdata: the fields of the key, and those of each vector.
func rfc9578(t testing.TB) (key map[string][]byte, vectors []map[string][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc9578_type2.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, section := range strings.Split(string(text), "\n# Test vector ") {
		fields := map[string]string{}
		var label string
		for line := range strings.Lines(section) {
			line = strings.TrimSpace(line)
			name, value, found := strings.Cut(line, ":")
			switch {
			case strings.HasPrefix(line, "#") || line == "" || len(line) == 1:
			case found:
				label, fields[name] = name, strings.TrimSpace(value)
			default:
				fields[label] += line
			}
		}
		decoded := map[string][]byte{}
		for name, value := range fields {
			if decoded[name], err = hex.DecodeString(value); err != nil {
				t.Fatalf("section %d, %s: %v", i, name, err)
			}
		}
		if i == 0 {
			key = decoded
		} else {
			vectors = append(vectors, decoded)
		}
	}
	return key, vectors
}

// The vectors of RFC 9474, Appendix A, of both variants with a salt, which have
// keys of 4096 bits: the library that blinds and signs, and our own check.
func TestRFC9474(t *testing.T) {
	var vectors []map[string]string
	text, err := os.ReadFile("testdata/rfc9474_pss.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 2 {
		t.Fatalf("%d vectors, want 2", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v["name"], func(t *testing.T) { testRFC9474(t, v) })
	}
}

func testRFC9474(t *testing.T, v map[string]string) {
	number := func(name string) *big.Int { return new(big.Int).SetBytes(unhex(t, v[name])) }
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number("n"), E: int(number("e").Int64())},
		D:         number("d"),
		Primes:    []*big.Int{number("p"), number("q")},
	}
	blind := new(big.Int).ModInverse(number("inv"), private.N)
	random := io.MultiReader(bytes.NewReader(unhex(t, v["salt"])), bytes.NewReader(blind.FillBytes(make([]byte, 512))))
	client, err := blindrsa.NewClient(blindrsa.SHA384PSSDeterministic, &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	input := unhex(t, v["input_msg"]) // with the prefix of the randomized variant
	blinded, state, err := client.Blind(random, input)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(blinded, unhex(t, v["blinded_msg"])) {
		t.Errorf("blinded message\n%x, want\n%s", blinded, v["blinded_msg"])
	}
	blindSignature, err := blindrsa.NewSigner(private).BlindSign(blinded)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(blindSignature, unhex(t, v["blind_sig"])) {
		t.Errorf("blind signature\n%x, want\n%s", blindSignature, v["blind_sig"])
	}
	signature, err := client.Finalize(state, blindSignature)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signature, unhex(t, v["sig"])) {
		t.Errorf("signature\n%x, want\n%s", signature, v["sig"])
	}
	if err := verify(&private.PublicKey, input, signature); err != nil {
		t.Error(err)
	}
	signature[100] ^= 1
	if err := verify(&private.PublicKey, input, signature); err == nil {
		t.Error("a changed signature verifies")
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
