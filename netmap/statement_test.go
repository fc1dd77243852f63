package netmap

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// newAuthorities returns a network of authorities, of which two have to agree,
// and their keys.
func newAuthorities(t testing.TB, count int) (*Network, []note.Signer) {
	t.Helper()
	n := &Network{Name: "test", Threshold: 2}
	var signers []note.Signer
	for range count {
		skey, vkey, err := note.GenerateKey(rand.Reader, "test")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := note.NewSigner(skey)
		if err != nil {
			t.Fatal(err)
		}
		n.Authorities, signers = append(n.Authorities, Authority{Key: vkey}), append(signers, signer)
	}
	return n, signers
}

var (
	stated = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	canary = Canary{Network: "test", Date: stated, Until: stated.Add(30 * 24 * time.Hour), Good: true, Text: "All is well.\n\n— or so it seems\n"}
	unfair = Moderation{Network: "test", Node: NodeID{7}, Action: Suspend, Date: stated, Reason: "it changes pages"}
)

func TestStatements(t *testing.T) {
	network, signers := newAuthorities(t, 3)
	withdrawn := Canary{Network: "test", Date: stated, Until: stated.Add(time.Second)}
	for _, c := range []Canary{canary, withdrawn} {
		signed, err := c.Sign(signers[1])
		if err != nil {
			t.Fatal(err)
		}
		s, err := network.OpenStatement(signed)
		if err != nil || *s.Canary != c || s.Authority != 1 || !s.Date.Equal(stated) || !bytes.Equal(s.Signed, signed) {
			t.Errorf("%+v, %v", s, err)
		}
	}
	for action := Suspend; action <= Distrust; action++ {
		m := unfair
		m.Action = action
		signed, err := m.Sign(signers[2])
		if err != nil {
			t.Fatal(err)
		}
		s, err := network.OpenStatement(signed)
		if err != nil || *s.Moderation != m || s.Authority != 2 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if !canary.Alive(stated) || canary.Alive(canary.Until) || withdrawn.Alive(stated) {
		t.Error("a canary lives when it does not, or not when it does")
	}
}

func TestBadStatements(t *testing.T) {
	network, signers := newAuthorities(t, 2)
	sign := func(text string, by ...note.Signer) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, by...)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	_, others := newAuthorities(t, 1)
	good := canary.String()
	twice := sign(good, signers[0])
	twice = append(twice, twice[bytes.LastIndex(twice, []byte("— ")):]...)
	bits := sign(good, signers[0]) // 68 bytes leave two bits over in base64
	at := bytes.LastIndexByte(bits, '=') - 1
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	bits[at] = alphabet[strings.IndexByte(alphabet, bits[at])+1]
	for name, signed := range map[string][]byte{
		"empty":          nil,
		"bits left over": bits,
		"stranger":       sign(good, others[0]),
		"two":            sign(good, signers...),
		"and a stranger": sign(good, signers[0], others[0]),
		"twice":          twice,
		"long":           make([]byte, MaxStatement+1),
	} {
		if _, err := network.OpenStatement(signed); !errors.Is(err, ErrStatement) {
			t.Errorf("%s: %v, want %v", name, err, ErrStatement)
		}
	}
	for name, c := range map[string]struct{ text, old, new string }{
		"kind":          {good, "canary", "parrot"},
		"version":       {good, "v1", "v2"},
		"other network": {good, "network test", "network best"},
		"state":         {good, "good", "fine"},
		"date":          {good, "10:00:00Z", "10:00:00+00:00"},
		"fraction":      {good, "10:00:00Z", "10:00:00.5Z"},
		"ends before":   {good, "until 2026", "until 2025"},
		"no empty line": {good, "good\n\n", "good\nx\n"},
		"long text":     {good, "well", strings.Repeat("well", 1025)},
		"node":          {unfair.String(), "node a", "node b"},
		"capitals":      {unfair.String(), "node a", "node A"},
		"action":        {unfair.String(), "suspend", "praise"},
		"no reason":     {unfair.String(), "it changes pages", ""},
		"long reason":   {unfair.String(), "pages", strings.Repeat("pages", 60)},
		"more":          {unfair.String(), "pages\n", "pages\nmore\n"},
		"order":         {unfair.String(), "node", "action"},
	} {
		text := strings.ReplaceAll(c.text, c.old, c.new)
		if name == "node" {
			text = strings.Replace(c.text, unfair.Node.String(), unfair.Node.String()[1:], 1)
		} else if text == c.text {
			text = strings.Replace(c.text, unfair.Node.String(), strings.ToUpper(unfair.Node.String()), 1)
		}
		if _, err := network.OpenStatement(sign(text, signers[0])); !errors.Is(err, ErrStatement) {
			t.Errorf("%s: %v, want %v", name, err, ErrStatement)
		}
	}
	bad := unfair
	bad.Reason = "two\nlines"
	if _, err := bad.Sign(signers[0]); !errors.Is(err, ErrStatement) {
		t.Errorf("a reason of two lines: %v", err)
	}
}

// What counts is the newest of each authority, and what as many say as the
// threshold.
func TestStanding(t *testing.T) {
	network, signers := newAuthorities(t, 3)
	say := func(authority, second int, action Action) Statement {
		m := Moderation{Network: "test", Node: NodeID{7}, Action: action, Date: stated.Add(time.Duration(second) * time.Second), Reason: fmt.Sprint("by ", authority)}
		signed, err := m.Sign(signers[authority])
		if err != nil {
			t.Fatal(err)
		}
		s, err := network.OpenStatement(signed)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := stated.Add(time.Minute)
	for name, c := range map[string]struct {
		said               []Statement
		suspended, trusted bool
		inForce            int
	}{
		"nobody":          {nil, false, false, 0},
		"one":             {[]Statement{say(0, 0, Suspend)}, false, false, 1},
		"one twice":       {[]Statement{say(0, 0, Suspend), say(0, 1, Suspend)}, false, false, 1},
		"two":             {[]Statement{say(0, 0, Suspend), say(2, 9, Suspend)}, true, false, 2},
		"three":           {[]Statement{say(0, 0, Suspend), say(2, 9, Suspend), say(1, 2, Suspend)}, true, false, 3},
		"one restores":    {[]Statement{say(0, 0, Suspend), say(2, 9, Suspend), say(2, 10, Restore)}, false, false, 2},
		"third restores":  {[]Statement{say(0, 0, Suspend), say(2, 9, Suspend), say(1, 10, Restore)}, true, false, 3},
		"restored before": {[]Statement{say(0, 0, Suspend), say(2, 9, Suspend), say(2, 8, Restore)}, true, false, 2},
		"same second":     {[]Statement{say(0, 0, Suspend), say(2, 9, Suspend), say(2, 9, Restore)}, true, false, 2},
		"later than now":  {[]Statement{say(0, 0, Suspend), say(2, 61, Suspend)}, false, false, 1},
		"two trust":       {[]Statement{say(0, 0, Trust), say(2, 9, Trust)}, false, true, 2},
		"one distrusts":   {[]Statement{say(0, 0, Trust), say(2, 9, Trust), say(2, 9, Distrust)}, false, false, 2},
		"both":            {[]Statement{say(0, 0, Trust), say(2, 9, Trust), say(0, 0, Suspend), say(2, 9, Suspend)}, true, true, 4},
	} {
		for range 2 {
			s := network.Stand(c.said, at)
			if s.Suspended(NodeID{7}) != c.suspended || s.Trusted(NodeID{7}) != c.trusted || len(s.InForce()) != c.inForce || s.Suspended(NodeID{8}) {
				t.Errorf("%s: suspended %v, trusted %v, %d in force", name, s.Suspended(NodeID{7}), s.Trusted(NodeID{7}), len(s.InForce()))
			}
			slices.Reverse(c.said) // the order does not matter
		}
	}
}

func TestStandingOfCanaries(t *testing.T) {
	network, signers := newAuthorities(t, 2)
	say := func(c Canary) Statement {
		signed, err := c.Sign(signers[1])
		if err != nil {
			t.Fatal(err)
		}
		s, err := network.OpenStatement(signed)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	later, withdrawn := canary, canary
	later.Date = stated.Add(time.Hour)
	withdrawn.Good = false
	s := network.Stand([]Statement{say(canary), say(withdrawn)}, later.Date)
	if c, ok := s.Canary(1); !ok || c != withdrawn {
		t.Errorf("of two of one second %+v counts", c)
	}
	s = network.Stand([]Statement{say(later), say(withdrawn)}, later.Date)
	if c, ok := s.Canary(1); !ok || c != later {
		t.Errorf("of two %+v counts", c)
	}
	if c, ok := s.Canary(0); ok {
		t.Errorf("an authority that said nothing has the canary %+v", c)
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(canary.String())
	f.Add(unfair.String())
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseStatement(text)
		if err != nil {
			if !errors.Is(err, ErrStatement) {
				t.Error(err)
			}
			return
		}
		if s.Canary != nil && s.Canary.String() != text || s.Moderation != nil && s.Moderation.String() != text {
			t.Errorf("%q has another form", text)
		}
	})
}
