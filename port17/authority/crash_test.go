package authority

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/tlog"
	"safing/netmap"
	"safing/port17/witness"
)

// An attendant is a witness of a network that cosigns all, if it is there.
type attendant struct {
	network *netmap.Network
	signer  note.Signer
	there   atomic.Bool
	asked   atomic.Int64
	known   []byte // the one of its size that it cosigns; any if nil
}

// attended gives a council a witness, without which no map is out.
func attended(w *attendant) func(c *council) {
	return func(c *council) {
		key := ed25519.NewKeyFromSeed(make([]byte, 32))
		text, err := netmap.CosignerKey("witness", key.Public().(ed25519.PublicKey))
		if err != nil {
			c.t.Fatal(err)
		}
		c.network.WitnessThreshold, c.network.Witnesses = 1, []netmap.Witness{{URL: "http://witness", Key: text}}
		if w.signer, err = netmap.NewCosigner("witness", key, time.Now); err != nil {
			c.t.Fatal(err)
		}
		w.network, c.witnesses = c.network, w
	}
}

// Known implements Witnesses.
func (w *attendant) Known(context.Context) [][]byte {
	if w.known == nil {
		return nil
	}
	return [][]byte{w.known}
}

// contradicts says whether the checkpoint is another one of the size that is
// known.
func (w *attendant) contradicts(signed []byte) bool {
	if w.known == nil {
		return false
	}
	c, err := w.network.OpenCheckpoint(signed)
	k, err2 := w.network.OpenCheckpoint(w.known)
	return err != nil || err2 != nil || c.Size <= k.Size && c != k
}

// Cosign implements Witnesses.
func (w *attendant) Cosign(_ context.Context, signed []byte, _ witness.Prover) ([]byte, error) {
	w.asked.Add(1)
	if !w.there.Load() || w.contradicts(signed) {
		return signed, netmap.ErrWitness
	}
	n, err := note.Open(signed, note.VerifierList(w.signer.(note.Verifier)))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		n, err = unverified.Note, nil
	}
	if err != nil {
		return nil, err
	}
	cosigned, err := netmap.SignCheckpoint(n.Text, w.signer)
	if err != nil {
		return nil, err
	}
	return w.network.MergeSignatures(signed, cosigned)
}

// leaf returns one of an authority's log.
func (c *council) leaf(i int, number int64) string {
	c.t.Helper()
	leaf, err := tlog.Leaf(c.t.Context(), c.members[i].store.db, number)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(leaf)
}

// An authority that ends after it has signed a map and before that is out does
// not sign another one of the same number.
func TestCrashAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 1, 1)
		a := c.members[0]
		v := &vote{author: a.signer.KeyHash(), period: a.madeIn().Add(time.Second)}
		next, err := a.compile(t.Context(), v.period, []*vote{v})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.enter(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		c.stop(0)
		time.Sleep(time.Minute)
		c.start(0)
		if got := c.leaf(0, 2); got != next.header {
			t.Errorf("map 2 is\n%sand was signed as\n%s", got, next.header)
		}
		if m := c.newest(0); m.Sequence != 3 {
			t.Errorf("map %d is the newest", m.Sequence)
		}
	})
}

// An authority that takes the signatures of others to the witnesses and is never
// heard of again does not keep the others from going on.
func TestWitnessesRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(attendant)
		w.there.Store(true)
		c := newCouncil(t, 3, 2, attended(w))
		c.publish(1, 0, 1, 2)
		c.period()
		lost, left := c.members[0], c.members[1]
		number := int64(c.newest(1).Sequence) + 1
		period := left.madeIn().Add(left.schedule.period)
		next, err := left.compile(t.Context(), period, []*vote{{author: lost.signer.KeyHash(), period: period}})
		if err != nil {
			t.Fatal(err)
		}
		if err := left.enter(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		text := string(next.checkpoint[:bytes.Index(next.checkpoint, []byte("\n\n"))+1])
		theirs, err := netmap.SignCheckpoint(text, lost.signer)
		if err != nil {
			t.Fatal(err)
		}
		if w.known, err = c.network.MergeSignatures(next.checkpoint, theirs); err != nil {
			t.Fatal(err)
		}
		c.stop(0)
		for range 3 {
			c.period()
		}
		if got := c.leaf(1, number); got != next.header {
			t.Errorf("map %d is\n%sand the witnesses know\n%s", number, got, next.header)
		}
		for _, i := range []int{1, 2} {
			if m := c.newest(i); int64(m.Sequence) <= number {
				t.Errorf("map %d is the newest of authority %d", m.Sequence, i)
			}
		}
	})
}

// What enough authorities have signed is what comes next, also after all of them
// have ended while the witnesses were away.
func TestCrashBeforeWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(attendant)
		c := newCouncil(t, 3, 2, attended(w))
		c.publish(1, 0, 1, 2)
		c.period()
		if c.newest(0) != nil || w.asked.Load() == 0 {
			t.Fatalf("a map is out, or no witness was asked\n%s", c.log)
		}
		signed := c.members[0].pendingNow().header
		for i := range c.members {
			c.stop(i)
		}
		w.there.Store(true)
		for i := range c.members {
			c.start(i)
		}
		c.publish(1, 0, 1, 2)
		c.period()
		if m := c.agree(1); m.Sequence != 2 || c.leaf(0, 1) != signed {
			t.Errorf("map 1 is\n%sand was signed as\n%s, the newest is map %d", c.leaf(0, 1), signed, m.Sequence)
		}
	})
}

// An authority that is alone starts without its witnesses, and has a map soon
// after they are back.
func TestAloneWithoutWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(attendant)
		c := newCouncil(t, 1, 1, attended(w))
		c.publish(1, 0)
		time.Sleep(time.Minute)
		if c.newest(0) != nil {
			t.Error("a map is out")
		}
		w.there.Store(true)
		time.Sleep(2 * retryAfter)
		synctest.Wait()
		c.agree(1)
	})
}

// A candidate that all have signed is finished when they can talk again; one
// that too few have signed gives way to that of the next period.
func TestUnfinishedCandidate(t *testing.T) {
	for name, signers := range map[string]int{"all": 3, "one": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouncil(t, 3, 2)
				c.publish(1, 0, 1, 2)
				s := c.members[0].schedule
				time.Sleep(time.Until(s.votesEnd(s.next(time.Now()))) - time.Millisecond)
				for i := range c.members {
					c.wire.cutOff(c.host(i), true)
				}
				time.Sleep(time.Minute)
				unfinished := c.members[0].pendingNow().header
				for i := range c.members {
					if i >= signers {
						if _, err := c.members[i].store.db.Exec("DELETE FROM candidate"); err != nil {
							t.Fatal(err)
						}
					}
					c.stop(i)
					c.wire.cutOff(c.host(i), false)
					c.start(i)
				}
				c.publish(1, 0, 1, 2)
				c.publish(2, 0, 1, 2)
				c.period()
				if finished := c.leaf(0, 1) == unfinished; finished != (signers == 3) {
					t.Errorf("finished: %v, map 1 is\n%s", finished, c.leaf(0, 1))
				}
				c.agree(2)
			})
		})
	}
}
