package policy

import (
	"errors"
	"testing"

	"safing/tinker"
)

// A suite that was forbidden stays out of reach, whatever is replayed: the
// policy that allowed it, a descriptor with a prekey of it, a hello made for
// that, or an offer to step to it.
func TestForbiddenSuiteIsOutOfReach(t *testing.T) {
	n := newNetwork(t)
	old := n.sign(t, newPolicy(1, "TK1 preferred, TK2 allowed"))
	if err := n.Update(old); err != nil {
		t.Fatal(err)
	}
	prekeys := map[tinker.SuiteID]*tinker.Prekeys{}
	recipients := map[tinker.SuiteID]tinker.Recipient{}
	for _, id := range []tinker.SuiteID{tk1, tk2} {
		keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Suite: id, Check: n.Check})
		if err != nil {
			t.Fatal(err)
		}
		prekeys[id], recipients[id] = keys, tinker.Recipient{Prekey: keys.Public()[0]}
	}
	session := func(id tinker.SuiteID) (initiator, responder *tinker.Session) {
		t.Helper()
		i, hello, err := tinker.Initiate(recipients[id], "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := prekeys[id].Respond("test", hello)
		if err != nil {
			t.Fatal(err)
		}
		s, err := i.Finish(r.Reply)
		if err != nil {
			t.Fatal(err)
		}
		return s, r.Session
	}
	_, hello, err := tinker.Initiate(recipients[tk1], "test", nil) // recorded by the adversary
	if err != nil {
		t.Fatal(err)
	}
	running, far := session(tk1)
	newer, newerFar := session(tk2)

	n.update(t, newPolicy(2, "TK2 preferred, TK1 forbidden"))
	for name, replay := range map[string]func() error{
		"an old policy": func() error { return n.Update(old) },
		"an old policy after a restart": func() error {
			n.restart(t)
			return n.Update(old)
		},
		"a hello from before": func() error {
			_, err := prekeys[tk1].Respond("test", hello)
			return err
		},
		"a descriptor from before": func() error {
			_, hello, err := tinker.Initiate(recipients[tk1], "test", nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = prekeys[tk1].Respond("test", hello)
			return err
		},
		"an offer in a session that runs": func() error {
			offer, err := running.Offer(tk1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = far.Accept(offer, n.Step)
			return err
		},
		"an offer in a session of another suite": func() error {
			offer, err := newer.Offer(tk1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = newerFar.Accept(offer, n.Step)
			return err
		},
	} {
		if err := replay(); !errors.Is(err, ErrRollback) && !errors.Is(err, tinker.ErrSuiteRefused) {
			t.Errorf("%s: %v, want that it is refused", name, err)
		}
		n.wantCheck(t, tk1, ErrForbidden)
	}
	if best, err := n.Best(tinker.Suites()); best != tk2 || err != nil {
		t.Errorf("the best suite is %v, %v", best, err)
	}
	session(tk2)
}
