package policy

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// trusting takes every signature, so that the fuzzer gets to the text.
type trusting struct{ note.Verifier }

func (trusting) Verify(_, _ []byte) bool { return true }

func FuzzOpen(f *testing.F) {
	a := newAuthority(f, "lab.example", 7)
	f.Add([]byte(vector))
	f.Fuzz(func(t *testing.T, signed []byte) {
		p, err := Open(signed, 1, trusting{a.Verifier})
		if err != nil {
			return
		}
		text, err := p.text()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(signed), text+"\n") {
			t.Errorf("%q opens, but its form is %q", signed, text)
		}
		preferred := 0
		for _, r := range p.Rules {
			if r.Status == Preferred {
				preferred++
			}
		}
		if preferred != 1 || len(p.Rules) > maxRules {
			t.Errorf("%d of %d suites are preferred", preferred, len(p.Rules))
		}
	})
}
