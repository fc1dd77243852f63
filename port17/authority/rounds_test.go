package authority

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

// A broadcastModel is a period with hostile authorities, who see everything at
// once, agree with each other, and send each ballot to whom they like, when they
// like.
type broadcastModel struct {
	t       *rapid.T
	quorum  *quorum
	signers []note.Signer
	honest  []*rounds // the first of the authorities
	// loot has the ballots that hostile authorities have seen or made, with the
	// signatures that they could get.
	loot []ballot
}

func newBroadcastModel(t *rapid.T) *broadcastModel {
	k := rapid.IntRange(1, 4).Draw(t, "k")
	n := rapid.IntRange(k, 2*k-1).Draw(t, "n")
	hostile := rapid.IntRange(0, n-k).Draw(t, "hostile")
	m := &broadcastModel{t: t}
	m.quorum, m.signers = assembly(t, n, k)
	for i := range n - hostile {
		m.honest = append(m.honest, newRounds(m.quorum, m.signers[i], period()))
	}
	return m
}

func (m *broadcastModel) hostile() []note.Signer { return m.signers[len(m.honest):] }

// equivocate lets each hostile authority make two or three votes.
func (m *broadcastModel) equivocate() {
	for _, s := range m.hostile() {
		for i := range rapid.IntRange(1, 3).Draw(m.t, "votes") {
			h := voteHeader{author: s.KeyHash(), period: period(), body: someDigest(fmt.Sprint(s.KeyHash(), i))}
			m.loot = append(m.loot, sealed(m.t, h, s))
		}
	}
}

// attack sends ballots with any of the hostile signatures, now or after the
// honest ones have passed theirs on.
func (m *broadcastModel) attack(round int) {
	if len(m.hostile()) > 0 {
		for _, r := range m.honest {
			m.loot = append(m.loot, r.ballots()...)
		}
	}
	if len(m.loot) == 0 {
		return
	}
	for range rapid.IntRange(0, 6).Draw(m.t, "ballots") {
		b := rapid.SampledFrom(m.loot).Draw(m.t, "ballot")
		for _, s := range m.hostile() {
			if !b.signedBy(s.KeyHash()) && rapid.Bool().Draw(m.t, "sign") {
				var err error
				if b, err = b.sign(s); err != nil {
					m.t.Fatal(err)
				}
			}
		}
		m.send(rapid.IntRange(0, len(m.honest)-1).Draw(m.t, "to"), b, round)
	}
}

func (m *broadcastModel) send(to int, b ballot, round int) {
	read, err := openBallot(m.quorum, encoded(m.t, b))
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.honest[to].accept(read, round); err != nil {
		m.t.Fatal(err)
	}
}

// Whatever up to n-k authorities do, all others count the same votes, and those
// of all honest ones are among them.
func TestHonestAuthoritiesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newBroadcastModel(t)
		m.equivocate()
		for i, r := range m.honest {
			h := voteHeader{author: m.signers[i].KeyHash(), period: period(), body: someDigest(fmt.Sprint("honest", i))}
			if err := r.accept(sealed(t, h, m.signers[i]), 1); err != nil {
				t.Fatal(err)
			}
		}
		for round := 1; round <= m.quorum.rounds(); round++ {
			// What was accepted in the rounds before has reached everybody.
			var sent [][]ballot
			for _, r := range m.honest {
				sent = append(sent, r.ballots())
			}
			if rapid.Bool().Draw(t, "early") {
				m.attack(round)
			}
			for _, ballots := range sent {
				for _, b := range ballots {
					for to := range m.honest {
						m.send(to, b, round)
					}
				}
			}
			m.attack(round)
		}
		m.checkAgreement()
	})
}

func (m *broadcastModel) checkAgreement() {
	want := bodies(m.honest[0])
	for i, r := range m.honest {
		if got := bodies(r); !slices.Equal(got, want) {
			m.t.Fatalf("authority %d counts %x, authority 0 counts %x", i, got, want)
		}
		if !slices.Contains(want, someDigest(fmt.Sprint("honest", i))) {
			m.t.Fatalf("the vote of the honest authority %d does not count", i)
		}
		for _, e := range r.equivocations() {
			if e[0].author != e[1].author || e[0].body == e[1].body {
				m.t.Fatalf("no proof: %+v", e)
			}
		}
	}
}

func bodies(r *rounds) []digest {
	var all []digest
	for _, b := range r.result() {
		all = append(all, b.body)
	}
	return all
}

// The rounds refuse what comes too late, and what is of another period.
func TestAccept(t *testing.T) {
	q, signers := assembly(t, 3, 2)
	h := voteHeader{author: signers[1].KeyHash(), period: period(), body: someDigest("x")}
	other := h
	other.body = someDigest("y")
	old := h
	old.period = period().Add(-time.Minute)
	for name, test := range map[string]struct {
		round   int
		ballots []ballot
		want    int // votes that count
		proofs  int
	}{
		"first round":             {1, []ballot{sealed(t, h, signers[1])}, 1, 0},
		"too few signatures":      {2, []ballot{sealed(t, h, signers[1])}, 0, 0},
		"second round":            {2, []ballot{sealed(t, h, signers[1], signers[2])}, 1, 0},
		"too late":                {3, []ballot{sealed(t, h, signers...)}, 0, 0},
		"before the first round":  {0, []ballot{sealed(t, h, signers[1])}, 0, 0},
		"another period":          {1, []ballot{sealed(t, old, signers[1])}, 0, 0},
		"the same again":          {1, []ballot{sealed(t, h, signers[1]), sealed(t, h, signers[1], signers[2])}, 1, 0},
		"two of the same author":  {1, []ballot{sealed(t, h, signers[1]), sealed(t, other, signers[1])}, 0, 1},
		"with our signature, too": {2, []ballot{sealed(t, h, signers[1], signers[0])}, 1, 0},
	} {
		r := newRounds(q, signers[0], period())
		for _, b := range test.ballots {
			if err := r.accept(b, test.round); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(r.result()); got != test.want || len(r.equivocations()) != test.proofs {
			t.Errorf("%s: %d votes and %d proofs, want %d and %d", name, got, len(r.equivocations()), test.want, test.proofs)
		}
		for _, b := range r.ballots() {
			if !b.signedBy(signers[0].KeyHash()) || len(b.note.Sigs) < test.round {
				t.Errorf("%s: passed on with the signatures %v", name, b.note.Sigs)
			}
		}
	}
}
