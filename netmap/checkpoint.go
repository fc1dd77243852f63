package netmap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint is the greatest length of a signed checkpoint, in bytes.
const MaxCheckpoint = 16 << 10

// maxSizeBits bounds the size of a tree: with 1<<62 leaves and more, the checks of
// golang.org/x/mod do not end.
const maxSizeBits = 62

// ErrCheckpoint means that a checkpoint is malformed, or one of another log.
var ErrCheckpoint = errors.New("checkpoint is invalid")

// A Checkpoint says what a log holds: how many leaves, and the root of their
// tree (c2sp.org/tlog-checkpoint). Those of a network's log have no extension
// lines.
type Checkpoint struct {
	Origin string // the network's name
	Size   int64
	Root   tlog.Hash
}

// MakeCheckpoint returns the text of a checkpoint, for [SignCheckpoint].
func MakeCheckpoint(network string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", network, size, base64.StdEncoding.EncodeToString(root[:]))
}

// ParseCheckpoint reads what [MakeCheckpoint] returns. The error wraps
// [ErrCheckpoint].
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, fmt.Errorf("%w: it has %d lines, want 3", ErrCheckpoint, len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, maxSizeBits)
	if err != nil || size < 0 {
		return Checkpoint{}, fmt.Errorf("%w: its size %q is not a number", ErrCheckpoint, lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("%w: its root %q is not a hash", ErrCheckpoint, lines[2])
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}
	if c.Origin == "" || MakeCheckpoint(c.Origin, c.Size, c.Root) != text {
		return Checkpoint{}, fmt.Errorf("%w: it is not in the form that its values make", ErrCheckpoint)
	}
	return c, nil
}

// SignCheckpoint returns the text, which must be that of [MakeCheckpoint], as a
// signed note.
func SignCheckpoint(text string, signers ...note.Signer) ([]byte, error) {
	if _, err := ParseCheckpoint(text); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return signed, nil
}

// OpenCheckpoint reads a checkpoint of the network's log that as many of its
// authorities have signed as the threshold says, whoever has witnessed it. The
// error wraps [ErrSignature] or [ErrCheckpoint].
func (n *Network) OpenCheckpoint(signed []byte) (Checkpoint, error) {
	c, count, err := n.readCheckpoint(signed)
	if err == nil && count.authorities < n.Threshold {
		err = fmt.Errorf("%w (%d of %d)", ErrSignature, count.authorities, n.Threshold)
	}
	return c, err
}

// OpenWitnessed is like OpenCheckpoint, and wants the cosignatures of as many
// witnesses as the network asks for too. The error may wrap [ErrWitness].
func (n *Network) OpenWitnessed(signed []byte) (Checkpoint, error) {
	c, count, err := n.readCheckpoint(signed)
	switch {
	case err != nil:
	case count.authorities < n.Threshold:
		err = fmt.Errorf("%w (%d of %d)", ErrSignature, count.authorities, n.Threshold)
	case count.witnesses < n.WitnessThreshold:
		err = fmt.Errorf("%w (%d of %d)", ErrWitness, count.witnesses, n.WitnessThreshold)
	}
	return c, err
}

// CountSignatures returns how many of the authorities and of the witnesses have
// signed the checkpoint. The error wraps [ErrCheckpoint].
func (n *Network) CountSignatures(signed []byte) (authorities, witnesses int, err error) {
	_, count, err := n.readCheckpoint(signed)
	return count.authorities, count.witnesses, err
}

// MergeSignatures returns the checkpoint with every valid signature of an
// authority or witness of the network that one of the notes has, each once and
// in the order of the network's file. What is not valid, or of others, is left
// out. The notes must have the same text; the error wraps [ErrCheckpoint].
func (n *Network) MergeSignatures(signed ...[]byte) ([]byte, error) {
	merged := note.Note{}
	var found []note.Signature
	for i, s := range signed {
		text, signatures, err := parseNote(s)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			merged.Text = text
		}
		if text != merged.Text {
			return nil, fmt.Errorf("%w: it is not the one whose signatures are gathered", ErrCheckpoint)
		}
		found = append(found, signatures...)
	}
	for _, k := range n.signers() {
		for _, s := range found {
			if k.signed(merged.Text, s) {
				merged.Sigs = append(merged.Sigs, s)
				break
			}
		}
	}
	all, err := note.Sign(&merged)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return all, nil
}

// parseNote reads a note, and verifies nothing.
func parseNote(signed []byte) (text string, signatures []note.Signature, err error) {
	if len(signed) > MaxCheckpoint {
		return "", nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrCheckpoint, len(signed), MaxCheckpoint)
	}
	_, err = note.Open(signed, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return "", nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return unverified.Note.Text, unverified.Note.UnverifiedSigs, nil
}

// count is how many have signed.
type count struct{ authorities, witnesses int }

// readCheckpoint reads the network's checkpoint and counts who has signed it.
// Signatures that are not valid count for nothing: anybody can add one.
func (n *Network) readCheckpoint(signed []byte) (Checkpoint, count, error) {
	text, signatures, err := parseNote(signed)
	if err != nil {
		return Checkpoint{}, count{}, err
	}
	c, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, count{}, err
	}
	if c.Origin != n.Name {
		return Checkpoint{}, count{}, fmt.Errorf("%w: it is of the log %q, not %q", ErrCheckpoint, c.Origin, n.Name)
	}
	var total count
	for _, k := range n.signers() {
		for _, s := range signatures {
			if !k.signed(text, s) {
				continue
			}
			if k.witness {
				total.witnesses++
			} else {
				total.authorities++
			}
			break
		}
	}
	return c, total, nil
}

// A signerKey is whose signatures count.
type signerKey struct {
	note.Verifier
	witness bool
	url     string
}

// signers returns the authorities and then the witnesses, each key once whatever
// it is called: a cosignature does not name its witness. A key that cannot be
// read, which validate refuses, signs nothing.
func (n *Network) signers() (keys []signerKey) {
	seen := make(map[string]bool)
	add := func(text, url string, witness bool, read func(string) (note.Verifier, error)) {
		v, err := read(text)
		if err != nil {
			return
		}
		if key := strings.SplitN(text, "+", 3)[2]; !seen[key] { // NAME+HASH+KEY, as it could be read
			seen[key] = true
			keys = append(keys, signerKey{v, witness, url})
		}
	}
	for _, a := range n.Authorities {
		add(a.Key, a.URL, false, note.NewVerifier)
	}
	for _, w := range n.Witnesses {
		add(w.Key, w.URL, true, NewCosignatureVerifier)
	}
	return keys
}

// signed says whether the signature is valid and of this key. It has one form:
// nobody on the way changes a byte unnoticed.
func (k signerKey) signed(text string, s note.Signature) bool {
	if s.Name != k.Name() || s.Hash != k.KeyHash() {
		return false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
	return err == nil && len(raw) > 4 && k.Verify([]byte(text), raw[4:])
}
