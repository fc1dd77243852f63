package netmap

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// testHead is the head of a map that github.com/transparency-dev/formats v0.1.1
// has proven, signed and cosigned, at 2026-11-21 14:34:33 UTC; its network has
// the keys below.
func testHead(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/map.head")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testHeadNetwork() *Network {
	return &Network{
		Name: "test.example", Threshold: 1, WitnessThreshold: 1,
		Authorities: []Authority{{URL: "http://127.0.0.1:1", Key: "test.example+9be4272e+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"}},
		Witnesses:   []Witness{{URL: "http://127.0.0.1:2", Key: "witness.example+3176bd45+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"}},
	}
}

func TestHead(t *testing.T) {
	head, err := ParseHead(testHead(t))
	if err != nil {
		t.Fatal(err)
	}
	h, err := testHeadNetwork().openHead(head)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	want := Header{Network: "test.example", Sequence: 3, ValidAfter: at, ValidUntil: at.Add(3 * time.Hour), Body: sha256.Sum256(nil)}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		now  time.Time
		want error
	}{
		{at.Add(-time.Second), ErrNotYet},
		{at, nil},
		{at.Add(3*time.Hour - time.Second), nil},
		{at.Add(3 * time.Hour), ErrExpired},
	} {
		if err := h.checkTime(c.now); !errors.Is(err, c.want) {
			t.Errorf("at %v: %v, want %v", c.now, err, c.want)
		}
	}
	if err := h.checkTime(at.Add(-time.Hour)); !strings.Contains(err.Error(), "check the clock") {
		t.Errorf("a map of tomorrow: %v", err)
	}
	if !bytes.Equal(JoinMap(testHead(t), []byte("body")), append(testHead(t), "\x00body"...)) {
		t.Error("a map is not head, zero and body")
	}
	signed, err := AssembleMap(head.Header, head.Hashes, head.Checkpoint, nil)
	if err != nil || !bytes.Equal(signed, append(testHead(t), 0)) {
		t.Errorf("assembled: %q, %v", signed, err)
	}
}

// Nothing that somebody changes on the way is accepted.
func TestSpoiltHead(t *testing.T) {
	network, good := testHeadNetwork(), testHead(t)
	open := func(b []byte) error {
		head, err := ParseHead(b)
		if err == nil {
			_, err = network.openHead(head)
		}
		return err
	}
	if err := open(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1
		if err := open(flipped); err == nil {
			t.Fatalf("with byte %d flipped, it is accepted", i)
		}
	}
	lines := strings.SplitAfter(string(good), "\n")
	for i := range lines {
		if err := open([]byte(strings.Join(append(lines[:i:i], lines[i+1:]...), ""))); err == nil && lines[i] != "" {
			t.Errorf("without the line %q, it is accepted", lines[i])
		}
	}
	for name, c := range map[string]struct {
		old, new string
		want     error
	}{
		"sequence":        {"sequence 3", "sequence 2", ErrMap},
		"sequence 03":     {"sequence 3", "sequence 03", ErrMap},
		"huge sequence":   {"sequence 3", "sequence 9223372036854775808", ErrMap},
		"index":           {"index 3", "index 2", ErrMap},
		"index 03":        {"index 3", "index 03", ErrMap},
		"extra":           {"index 3", "extra AA==\nindex 3", ErrMap},
		"carriage return": {"index 3\n", "index 3\r\n", ErrMap},
		"hash":            {"KTF1", "KTF2", ErrMap},
		"more hashes":     {"KTF1", strings.Repeat("KTF1qJP997ycX1KOeXeuAmtiHG5f0E6DmzaWG3a3LA8=\n", 60) + "KTF1", ErrMap},
		"too many hashes": {"KTF1", strings.Repeat("KTF1qJP997ycX1KOeXeuAmtiHG5f0E6DmzaWG3a3LA8=\n", 64) + "KTF1", ErrMap},
		"time":            {"10:00:00Z", "10:00:00+00:00", ErrMap},
		"fraction":        {"10:00:00Z", "10:00:00.5Z", ErrMap},
		"other network":   {"network test.example", "network best.example", ErrMap},
		"other origin":    {"\n\ntest.example\n", "\n\nbest.example\n", ErrMap},
		"extension":       {"psg=\n", "psg=\nextension\n", ErrMap},
		"root":            {"ESma", "ESmb", ErrSignature},
		"not signed":      {"— test.example", "— best.example", ErrSignature},
		"not witnessed":   {"— witness.example", "— other.example", ErrWitness},
		"long":            {"\n\n—", "\n\n" + strings.Repeat("— a AAAAAAAA\n", 2000) + "—", ErrTooLarge},
	} {
		if err := open([]byte(strings.Replace(string(good), c.old, c.new, 1))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A map that is in the log but not its newest is no answer: who shows it hides
// the one behind it.
func TestNewestLeaf(t *testing.T) {
	network, signer := newNetwork(t)
	now := time.Now().UTC().Truncate(time.Second)
	log := []string{FirstLeaf("test")}
	for i := uint64(1); i < 6; i++ {
		log = append(log, Header{Network: "test", Sequence: i, ValidAfter: now, ValidUntil: now.Add(time.Hour)}.String())
	}
	for size := int64(2); size <= 6; size++ {
		for number := int64(0); number < size; number++ {
			root, proof := proveIn(t, log[:size], number)
			checkpoint, err := SignCheckpoint(MakeCheckpoint("test", size, root), signer)
			if err != nil {
				t.Fatal(err)
			}
			_, err = network.openHead(Head{Header: log[number], Index: number, Hashes: proof, Checkpoint: checkpoint})
			if newest := number == size-1; newest != (err == nil) || err != nil && !errors.Is(err, ErrMap) {
				t.Errorf("leaf %d of %d: %v", number, size, err)
			}
		}
	}
}

// proveIn returns the root of the leaves' tree, and the proof that one is in it.
func proveIn(t testing.TB, leaves []string, number int64) (tlog.Hash, []tlog.Hash) {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(numbers []int64) (hashes []tlog.Hash, _ error) {
		for _, n := range numbers {
			hashes = append(hashes, stored[n])
		}
		return hashes, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), []byte(leaf), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), reader)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := tlog.ProveRecord(int64(len(leaves)), number, reader)
	if err != nil {
		t.Fatal(err)
	}
	return root, proof
}

func TestSplitMap(t *testing.T) {
	head, body, err := SplitMap([]byte("head\x00body\x00more"))
	if err != nil || string(head) != "head" || string(body) != "body\x00more" {
		t.Errorf("%q, %q, %v", head, body, err)
	}
	if _, _, err := SplitMap([]byte("head")); !errors.Is(err, ErrMap) {
		t.Errorf("without a body: %v", err)
	}
	if _, _, err := SplitMap(make([]byte, MaxMap+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
}

func FuzzParseHead(f *testing.F) {
	network := testHeadNetwork()
	f.Add(testHead(f))
	f.Add([]byte("a\n\nc2sp.org/tlog-proof@v1\nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, err := ParseHead(b)
		if err != nil {
			if !errors.Is(err, ErrMap) && !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(head.encode(), b) {
			t.Errorf("%q is the same head as %q", b, head.encode())
		}
		if _, err := network.openHead(head); err == nil && !bytes.Equal(b, testHead(t)) {
			t.Errorf("%q is accepted", b)
		}
		if h, err := ParseHeader(head.Header); err == nil && h.String() != head.Header {
			t.Errorf("%q is the same header as %q", head.Header, h)
		}
	})
}

func testCosigner(t testing.TB, name string, seed byte, at time.Time) (note.Signer, string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	s, err := NewCosigner(name, key, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	text, err := CosignerKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return s, text
}
