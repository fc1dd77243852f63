package policy

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

func TestGather(t *testing.T) {
	a, b, c := newAuthority(t, "lab.example", 1), newAuthority(t, "lab.example", 2), newAuthority(t, "lab.example", 3)
	stranger := newAuthority(t, "lab.example", 66)
	verifiers := []note.Verifier{a.Verifier, b.Verifier, c.Verifier}
	p := newPolicy(5, "TK2 preferred, TK1 forbidden")
	text, err := p.text()
	if err != nil {
		t.Fatal(err)
	}
	bare := []byte(text)
	broken := bytes.Replace(a.sign(t, p), []byte("TK1 forbidden"), []byte("TK3 forbidden"), 1)
	for name, test := range map[string]struct {
		copies  [][]byte
		signers []note.Signer
		want    int
		err     error
	}{
		"text alone":             {[][]byte{bare}, nil, 0, nil},
		"text that we sign":      {[][]byte{bare}, []note.Signer{a.Signer}, 1, nil},
		"a copy that we sign":    {[][]byte{a.sign(t, p)}, []note.Signer{b.Signer}, 2, nil},
		"signed by us already":   {[][]byte{a.sign(t, p)}, []note.Signer{a.Signer}, 1, nil},
		"three copies":           {[][]byte{a.sign(t, p), b.sign(t, p), c.sign(t, p)}, nil, 3, nil},
		"one of them twice":      {[][]byte{a.sign(t, p), b.sign(t, p), a.sign(t, p)}, nil, 2, nil},
		"a stranger's":           {[][]byte{stranger.sign(t, p)}, nil, 0, nil},
		"signed by a stranger":   {[][]byte{bare}, []note.Signer{stranger.Signer}, 0, nil},
		"other text":             {[][]byte{bare, a.sign(t, newPolicy(5, "TK2 preferred"))}, nil, 0, ErrPolicy},
		"changed after signing":  {[][]byte{broken}, nil, 0, ErrSignature},
		"not in the only form":   {[][]byte{[]byte(strings.Replace(text, "TK2 preferred", "TK2  preferred", 1))}, nil, 0, ErrPolicy},
		"nothing":                {nil, nil, 0, ErrPolicy},
		"something else, signed": {[][]byte{[]byte("x\n\n— lab.example AAAA\n")}, nil, 0, ErrSignature},
	} {
		got, signed, n, err := Gather(test.copies, verifiers, test.signers...)
		if n != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %d signatures, %v; want %d, %v", name, n, err, test.want, test.err)
			continue
		}
		if err != nil {
			continue
		}
		if again, err := got.text(); err != nil || again != text {
			t.Errorf("%s: another text: %v", name, err)
		}
		if (signed != nil) != (n > 0) {
			t.Errorf("%s: the note has %d bytes", name, len(signed))
		}
		for k := 1; k <= 3; k++ {
			if _, err := Open(signed, k, verifiers...); (err == nil) != (k <= n) {
				t.Errorf("%s: with %d signatures of %d: %v", name, n, k, err)
			}
		}
	}
}

// What is gathered depends neither on the order of the copies nor on where the
// signatures are.
func TestGatherHasOneForm(t *testing.T) {
	var authorities []authority
	var verifiers []note.Verifier
	for seed := range byte(4) {
		a := newAuthority(t, "lab.example", seed)
		authorities, verifiers = append(authorities, a), append(verifiers, a.Verifier)
	}
	p := newPolicy(5, "TK2 preferred, TK1 forbidden")
	rapid.Check(t, func(r *rapid.T) {
		some := func(name string) (copies [][]byte) {
			for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(r, name) {
				signers := []note.Signer{authorities[i].Signer}
				if rapid.Bool().Draw(r, name+" with a stranger") {
					signers = append(signers, newAuthority(t, "lab.example", 66).Signer)
				}
				signed, err := p.Sign(signers...)
				if err != nil {
					r.Fatal(err)
				}
				copies = append(copies, signed)
			}
			return copies
		}
		_, one, n, err := Gather(some("one"), verifiers)
		if err != nil {
			r.Fatal(err)
		}
		_, other, m, err := Gather(append([][]byte{one}, some("other")[:1]...), verifiers)
		if err != nil || n != 3 || m != 3 || !bytes.Equal(one, other) {
			r.Fatalf("%d and %d signatures, %v:\n%s\n%s", n, m, err, one, other)
		}
	})
}
