package token

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestVerifyRefuses(t *testing.T) {
	challenge := SpendChallenge(issuerName, node, 7)
	good := issue(t, spendIssuer(), challenge)
	otherNode := node
	otherNode[31] ^= 1

	tests := []struct {
		name      string
		key       *IssuerKey
		challenge Challenge
		change    func(*Token)
		want      error
	}{
		{name: "nothing", challenge: challenge},
		{name: "wrong node", challenge: SpendChallenge(issuerName, otherNode, 7), want: ErrWrongChallenge},
		{name: "epoch before", challenge: SpendChallenge(issuerName, node, 6), want: ErrWrongChallenge},
		{name: "epoch after", challenge: SpendChallenge(issuerName, node, 8), want: ErrWrongChallenge},
		{name: "epoch far away", challenge: SpendChallenge(issuerName, node, 7<<56), want: ErrWrongChallenge},
		{name: "wrong issuer", challenge: SpendChallenge("other.example", node, 7), want: ErrWrongChallenge},
		{name: "credit", challenge: CreditChallenge(issuerName, 7), want: ErrWrongChallenge},
		{name: "no context", challenge: Challenge{Issuer: issuerName, Origin: challenge.Origin}, want: ErrWrongChallenge},
		{name: "other key", key: creditIssuer().Key(), challenge: challenge, want: ErrWrongKey},
		{
			name: "other key with its ID", key: creditIssuer().Key(), challenge: challenge,
			change: func(t *Token) { t.KeyID = creditIssuer().Key().ID() }, want: ErrSignature,
		},
		{name: "nonce", challenge: challenge, change: func(t *Token) { t.Nonce[0] ^= 1 }, want: ErrSignature},
		{name: "no signature", challenge: challenge, change: func(t *Token) { t.Authenticator = [256]byte{} }, want: ErrSignature},
		{
			name: "signature plus modulus", challenge: challenge,
			change: func(t *Token) {
				sum := new(big.Int).SetBytes(t.Authenticator[:])
				sum.Add(sum, spendIssuer().Key().public.N)
				copy(t.Authenticator[:], sum.Bytes()) // 256 or, cut, 257 bytes
			},
			want: ErrSignature,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			key, changed := test.key, good
			if key == nil {
				key = spendIssuer().Key()
			}
			if test.change != nil {
				test.change(&changed)
			}
			if err := key.Verify(changed, test.challenge); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if err := spendIssuer().Key().Verify(good, Challenge{}); err == nil {
		t.Error("a token verifies for a challenge that cannot be")
	}
}

// Any bit matters, wherever it is.
func TestChangedBits(t *testing.T) {
	challenge := SpendChallenge(issuerName, node, 7)
	issuer := spendIssuer()
	pending, request, err := issuer.Key().Blind(challenge)
	if err != nil {
		t.Fatal(err)
	}
	response, err := issuer.Sign(request)
	if err != nil {
		t.Fatal(err)
	}
	good, err := pending.Finish(response)
	if err != nil {
		t.Fatal(err)
	}
	eachBit(good.Encode(), 3, func(bit int, b []byte) {
		changed, err := ParseToken(b)
		if err == nil {
			err = issuer.Key().Verify(changed, challenge)
		}
		if err == nil {
			t.Errorf("a token with bit %d changed verifies", bit)
		}
	})
	eachBit(response[:], 5, func(bit int, b []byte) {
		changed, err := ParseResponse(b)
		if err == nil {
			_, err = pending.Finish(changed)
		}
		if !errors.Is(err, ErrSignature) {
			t.Errorf("a response with bit %d changed: %v", bit, err)
		}
	})
	eachBit(request.Encode(), 101, func(bit int, b []byte) {
		changed, err := ParseRequest(b)
		if err != nil {
			return
		}
		response, err := issuer.Sign(changed)
		if err == nil {
			_, err = pending.Finish(response)
		}
		if err == nil {
			t.Errorf("a request with bit %d changed gives the token", bit)
		}
	})
	if again, err := pending.Finish(response); err != nil || again != good {
		t.Errorf("after all that, the response itself: %v", err)
	}
}

// eachBit calls f with every nth bit changed.
func eachBit(b []byte, step int, f func(bit int, changed []byte)) {
	for bit := 0; bit < 8*len(b); bit += step {
		changed := bytes.Clone(b)
		changed[bit/8] ^= 1 << (bit % 8)
		f(bit, changed)
	}
}

func TestSizes(t *testing.T) {
	made := issue(t, spendIssuer(), CreditChallenge(issuerName, 1))
	request := Request{KeyID: 1}
	messages := []struct {
		name  string
		good  []byte
		parse func([]byte) error
	}{
		{"token", made.Encode(), func(b []byte) error { _, err := ParseToken(b); return err }},
		{"request", request.Encode(), func(b []byte) error { _, err := ParseRequest(b); return err }},
		{"response", make([]byte, ResponseSize), func(b []byte) error { _, err := ParseResponse(b); return err }},
		{"issuer key", spendIssuer().Key().Encode(), func(b []byte) error { _, err := ParseIssuerKey(b); return err }},
	}
	for _, m := range messages {
		if err := m.parse(m.good); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for n := range len(m.good) {
			if m.parse(m.good[:n]) == nil {
				t.Errorf("%s: its first %d bytes are taken", m.name, n)
			}
		}
		if m.parse(append(bytes.Clone(m.good), 0)) == nil {
			t.Errorf("%s: taken with a byte too many", m.name)
		}
	}
	for _, typ := range []byte{0, 1, 3, 5} {
		b := made.Encode()
		b[1] = typ
		if _, err := ParseToken(b); err == nil || !strings.Contains(err.Error(), "type") {
			t.Errorf("token of type %d: %v", typ, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	issuer := spendIssuer()
	id := issuer.Key().ID()
	n := [256]byte(issuer.Key().public.N.Bytes())
	tests := []struct {
		name    string
		request Request
		want    string
	}{
		{"other key", Request{KeyID: id[31] ^ 1}, "another issuer key"},
		{"first byte of the ID", Request{KeyID: id[31] + 1}, "another issuer key"},
		{"modulus", Request{KeyID: id[31], Blinded: n}, "larger than the key's modulus"},
		{"largest", Request{KeyID: id[31], Blinded: [256]byte(bytes.Repeat([]byte{0xff}, 256))}, "larger than the key's modulus"},
	}
	for _, test := range tests {
		if _, err := issuer.Sign(test.request); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	mixed := *spendIssuerPrivate(t)
	mixed.PublicKey = *creditIssuer().Key().public
	tests := []struct {
		name    string
		private *rsa.PrivateKey
		want    string
	}{
		{"small", small, "1024 bits"},
		{"exponent", &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: creditIssuer().Key().public.N, E: 3}}, "exponent 3"},
		{"even", &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}}, "even"},
		{"parts of two keys", &mixed, "issuer key"},
	}
	for _, test := range tests {
		if _, err := NewIssuer(test.private); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func spendIssuerPrivate(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// A key in any other form would have another ID.
func TestParseIssuerKeyRefuses(t *testing.T) {
	good := spendIssuer().Key().Encode()
	k, err := ParseIssuerKey(good)
	if err != nil || k.ID() != spendIssuer().Key().ID() {
		t.Fatalf("got %v, %v", k, err)
	}
	eachBit(good, 1, func(bit int, b []byte) {
		k, err := ParseIssuerKey(b)
		if err == nil && !bytes.Equal(k.Encode(), b) {
			t.Errorf("with bit %d changed, the key encodes to something else", bit)
		}
		inModulus := bit/8 >= len(spkiStart) && bit/8 < len(spkiStart)+256
		if (err == nil) != inModulus && bit != 8*len(spkiStart)+7 && bit != 8*(len(spkiStart)+255) {
			t.Errorf("with bit %d changed: %v", bit, err)
		}
	})
}

// Two tokens for the same challenge have nothing in common that an issuer sees.
func TestBlindIsRandom(t *testing.T) {
	challenge := CreditChallenge(issuerName, 1)
	one, oneRequest, err := spendIssuer().Key().Blind(challenge)
	if err != nil {
		t.Fatal(err)
	}
	two, twoRequest, err := spendIssuer().Key().Blind(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if one.token.Nonce == two.token.Nonce || oneRequest.Blinded == twoRequest.Blinded {
		t.Error("two tokens have the same nonce or the same request")
	}
	if _, _, err := spendIssuer().Key().Blind(Challenge{}); err == nil {
		t.Error("a challenge without an issuer was blinded")
	}
	short := bytes.NewReader(make([]byte, 100))
	if _, _, err := spendIssuer().Key().blind(short, challenge); err == nil {
		t.Error("blinded without enough randomness")
	}
}
