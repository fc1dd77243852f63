package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// Gather puts the verifiers' signatures on several copies of one policy
// together, and adds those of the signers. A copy is a note, or the text alone.
// It returns the policy as a note in its only form for these signatures, and
// how many there are: see [Open] for how many it takes. The note is nil if there
// are none. Signatures by others are left out. The error wraps [ErrSignature] or
// [ErrPolicy].
func Gather(copies [][]byte, verifiers []note.Verifier, signers ...note.Signer) (p *Policy, signed []byte, signatures int, err error) {
	var n note.Note
	for _, c := range copies {
		text, sigs, err := readCopy(c, verifiers)
		if err != nil {
			return nil, nil, 0, err
		}
		if p == nil {
			if p, err = parse(text); err != nil {
				return nil, nil, 0, err
			}
			n.Text = text
		}
		if text != n.Text {
			return nil, nil, 0, fmt.Errorf("%w: the copies do not have the same text", ErrPolicy)
		}
		n.Sigs = append(n.Sigs, sigs...)
	}
	if p == nil {
		return nil, nil, 0, fmt.Errorf("%w: there is no copy of it", ErrPolicy)
	}
	for _, s := range signers {
		own, err := p.Sign(s)
		if err != nil {
			return nil, nil, 0, err
		}
		_, sigs, err := readCopy(own, verifiers)
		if err != nil {
			return nil, nil, 0, err
		}
		n.Sigs = append(n.Sigs, sigs...)
	}
	n.Sigs = inOrder(n.Sigs)
	if len(n.Sigs) == 0 {
		return p, nil, 0, nil
	}
	if signed, err = note.Sign(&n); err != nil {
		return nil, nil, 0, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return p, signed, len(n.Sigs), nil
}

// readCopy returns the text and those of its signatures that are the verifiers'.
func readCopy(b []byte, verifiers []note.Verifier) (text string, sigs []note.Signature, err error) {
	if !bytes.Contains(b, []byte("\n\n")) { // which divides a note's text from its signatures
		return string(b), nil, nil
	}
	n, err := openNote(b, verifiers)
	if err != nil {
		return "", nil, err
	}
	return n.Text, n.Sigs, nil
}

// inOrder returns one signature of each key.
func inOrder(sigs []note.Signature) []note.Signature {
	slices.SortFunc(sigs, func(a, b note.Signature) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Base64, b.Base64))
	})
	return slices.CompactFunc(sigs, func(a, b note.Signature) bool { return a.Name == b.Name && a.Hash == b.Hash })
}
