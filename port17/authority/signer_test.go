package authority

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestSigner(t *testing.T) {
	key, text, err := GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner("test", key)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: "hello\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := note.Open(signed, note.VerifierList(verifier)); err != nil || n.Text != "hello\n" {
		t.Errorf("opened: %v, %v", n, err)
	}
	if _, err := NewSigner("test", key[:31]); err == nil || !strings.Contains(err.Error(), "has 31 bytes, not 64") {
		t.Errorf("a short key: %v", err)
	}
	if _, err := NewSigner("two words", key); err == nil || !strings.Contains(err.Error(), `"two words"`) {
		t.Errorf("a name that notes cannot have: %v", err)
	}
}
