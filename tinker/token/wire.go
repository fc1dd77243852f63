package token

import (
	"encoding/binary"
	"fmt"
)

// Sizes of messages in bytes.
const (
	RequestSize  = 2 + 1 + modulusSize
	ResponseSize = modulusSize
	TokenSize    = inputSize + modulusSize

	inputSize   = 2 + 32 + 32 + 32 // what the signature of a token is over
	modulusSize = 256              // Nk of RFC 9578
)

// A Token is what a client redeems: RFC 9577, section 2.2.
//
//	struct {
//	    uint16_t token_type = 2;
//	    uint8_t nonce[32];
//	    uint8_t challenge_digest[32];
//	    uint8_t token_key_id[32];
//	    uint8_t authenticator[256];
//	} Token;
//
// The nonce is the token's identity in a spent set. The authenticator is not:
// one message can have many valid signatures.
type Token struct {
	Nonce           [32]byte
	ChallengeDigest [32]byte
	KeyID           [32]byte
	Authenticator   [modulusSize]byte
}

// Encode returns the Token, TokenSize bytes.
func (t *Token) Encode() []byte {
	return append(t.input(), t.Authenticator[:]...)
}

// input returns what the authenticator signs, with room for the authenticator.
func (t *Token) input() []byte {
	b := make([]byte, 0, TokenSize)
	b = binary.BigEndian.AppendUint16(b, tokenType)
	b = append(b, t.Nonce[:]...)
	b = append(b, t.ChallengeDigest[:]...)
	return append(b, t.KeyID[:]...)
}

// ParseToken reads a Token. Its signature is checked by [IssuerKey.Verify].
func ParseToken(b []byte) (Token, error) {
	if err := checkMessage("token", b, TokenSize); err != nil {
		return Token{}, err
	}
	return Token{
		Nonce:           [32]byte(b[2:]),
		ChallengeDigest: [32]byte(b[34:]),
		KeyID:           [32]byte(b[66:]),
		Authenticator:   [modulusSize]byte(b[inputSize:]),
	}, nil
}

// A Request asks an issuer for a signature: RFC 9578, section 6.1.
//
//	struct {
//	    uint16_t token_type = 2;
//	    uint8_t truncated_token_key_id;
//	    uint8_t blinded_msg[256];
//	} TokenRequest;
type Request struct {
	KeyID   byte // last byte of the issuer key's ID
	Blinded [modulusSize]byte
}

// Encode returns the TokenRequest, RequestSize bytes.
func (r *Request) Encode() []byte {
	b := make([]byte, 0, RequestSize)
	b = binary.BigEndian.AppendUint16(b, tokenType)
	b = append(b, r.KeyID)
	return append(b, r.Blinded[:]...)
}

// ParseRequest reads a TokenRequest.
func ParseRequest(b []byte) (Request, error) {
	if err := checkMessage("token request", b, RequestSize); err != nil {
		return Request{}, err
	}
	return Request{KeyID: b[2], Blinded: [modulusSize]byte(b[3:])}, nil
}

// A Response is the issuer's blind signature, the TokenResponse of RFC 9578,
// section 6.2. Its encoding is these bytes.
type Response [ResponseSize]byte

// ParseResponse reads a TokenResponse.
func ParseResponse(b []byte) (Response, error) {
	if len(b) != ResponseSize {
		return Response{}, fmt.Errorf("token response has %d bytes, it needs %d", len(b), ResponseSize)
	}
	return Response(b), nil
}

// checkMessage checks the size and the token type of a message.
func checkMessage(name string, b []byte, size int) error {
	if len(b) != size {
		return fmt.Errorf("%s has %d bytes, it needs %d", name, len(b), size)
	}
	if typ := binary.BigEndian.Uint16(b); typ != tokenType {
		return fmt.Errorf("%s of type %d, want %d", name, typ, tokenType)
	}
	return nil
}
