package tinker

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"testing"
)

// The vectors that other implementations can run. Their fields are told in
// docs/spec/vectors/README.md.
const vectorsPath = "../docs/spec/vectors/tinker.json"

var update = flag.Bool("update", false, "make the vectors anew, and say whether they differ")

type vectorFile struct {
	About      string            `json:"about"`
	Handshakes []handshakeVector `json:"handshakes"`
	Onion      onionVector       `json:"onion"`
	Retry      retryVector       `json:"retry"`
}

type handshakeVector struct {
	Suite            string          `json:"suite"`
	PrekeyPrivate    hexBytes        `json:"prekey_private"`
	PrekeyPublic     hexBytes        `json:"prekey_public"`
	PrekeyID         hexBytes        `json:"prekey_id"`
	Identity         hexBytes        `json:"identity"`
	Binding          hexBytes        `json:"binding"`
	Label            string          `json:"label"`
	Payload          hexBytes        `json:"payload"`
	EphemeralPrivate hexBytes        `json:"ephemeral_private"`
	EphemeralPublic  hexBytes        `json:"ephemeral_public"`
	HelloInfo        hexBytes        `json:"hello_info"`
	Hello            hexBytes        `json:"hello"`
	HelloTranscript  hexBytes        `json:"hello_transcript"`
	EarlySecret      hexBytes        `json:"early_secret"`
	HelloRoot        hexBytes        `json:"hello_root"`
	Early            []messageVector `json:"early"`
	Reply            hexBytes        `json:"reply"`
	Transcript       hexBytes        `json:"transcript"`
	Root             hexBytes        `json:"root"`
	Messages         []messageVector `json:"messages"`
	Steps            []stepVector    `json:"steps"`
	Refused          []refusedVector `json:"refused"`
}

// A messageVector is a message that one side seals and the other opens.
type messageVector struct {
	From    string   `json:"from"`
	Type    byte     `json:"type"`
	Step    bool     `json:"step,omitempty"`    // flag of the chain
	Ratchet bool     `json:"ratchet,omitempty"` // flag of the next root
	Content hexBytes `json:"content"`
	Sealed  hexBytes `json:"sealed"`
}

const fromInitiator, fromResponder = "initiator", "responder"

// A stepVector is a step of the ratchet, with the messages from its OFFER on.
type stepVector struct {
	Suite        string          `json:"suite"`
	OfferPrivate hexBytes        `json:"offer_private"`
	Offer        hexBytes        `json:"offer"`
	Accept       hexBytes        `json:"accept"`
	Transcript   hexBytes        `json:"transcript"`
	Root         hexBytes        `json:"root"`
	Messages     []messageVector `json:"messages"`
}

// A refusedVector is a change of hello or reply that must be noticed.
type refusedVector struct {
	Message string `json:"message"`
	Byte    int    `json:"byte"`
	Xor     byte   `json:"xor,omitempty"` // 0: the message ends before the byte
	Error   string `json:"error"`
}

// refusals are the errors that the vectors name.
var refusals = map[string]error{
	"unknown suite":  ErrUnknownSuite,
	"unknown prekey": ErrUnknownPrekey,
	"does not open":  ErrDecrypt,
	"too short":      ErrTooShort,
}

func (v refusedVector) apply(message []byte) []byte {
	if v.Xor == 0 {
		return bytes.Clone(message[:v.Byte])
	}
	changed := bytes.Clone(message)
	changed[v.Byte] ^= v.Xor
	return changed
}

type onionVector struct {
	Size   int          `json:"size"`
	Offset int          `json:"offset"`
	Hops   []hopVector  `json:"hops"`
	Cells  []cellVector `json:"cells"`
}

type hopVector struct {
	Suite      string   `json:"suite"`
	Transcript hexBytes `json:"transcript"`
	Root       hexBytes `json:"root"`
}

// A cellVector is a cell to or from a hop. Layers are what goes over each link
// up to that hop, without padding; the first is the link of the initiator.
type cellVector struct {
	To      *int       `json:"to,omitempty"`
	From    *int       `json:"from,omitempty"`
	Type    byte       `json:"type"`
	Content hexBytes   `json:"content"`
	Layers  []hexBytes `json:"layers"`
}

type retryVector struct {
	Descriptor hexBytes `json:"descriptor"`
	Reply      hexBytes `json:"reply"`
}

func TestVectors(t *testing.T) {
	if *update {
		updateVectors(t)
	}
	f := readVectors(t)
	if len(f.Handshakes) != len(Suites()) {
		t.Fatalf("%d handshakes", len(f.Handshakes))
	}
	for _, v := range f.Handshakes {
		t.Run(v.Suite, v.check)
	}
	t.Run("onion", f.Onion.check)
	t.Run("retry", f.Retry.check)
}

func readVectors(t testing.TB) (f vectorFile) {
	t.Helper()
	b, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

// updateVectors makes the same vectors each time, as long as Go draws its
// randomness in the same order.
func updateVectors(t *testing.T) {
	t.Helper()
	b, err := json.MarshalIndent(generateVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	old, err := os.ReadFile(vectorsPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if bytes.Equal(b, old) {
		return
	}
	if err := os.WriteFile(vectorsPath, b, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Errorf("%s had other vectors: these are new", vectorsPath)
}

func suiteNamed(t testing.TB, name string) *suite {
	t.Helper()
	id, err := ParseSuite(name)
	if err != nil {
		t.Fatal(err)
	}
	return suiteOf(t, id)
}

// same reports a value that is not the vector's.
func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %x, want %x", what, got, want)
	}
}
