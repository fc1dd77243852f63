package authority

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// What waits for a silent authority is bounded in number and bytes, and the
// newest stays.
func TestForwarderIsBounded(t *testing.T) {
	f := newForwarder(nil, "test", nil, slog.New(slog.DiscardHandler))
	large := make([]byte, 64<<10)
	for range 3 * maxQueued {
		f.add(parcel{kindDescriptor, large})
	}
	if f.size > maxWaiting || len(f.queue) != maxWaiting/(64<<10) {
		t.Errorf("%d objects of %d bytes wait", len(f.queue), f.size)
	}
	for range 2 * maxQueued {
		f.add(parcel{kindDescriptor, []byte{1}})
	}
	if len(f.queue) != maxQueued || f.size != maxQueued {
		t.Errorf("%d objects of %d bytes wait", len(f.queue), f.size)
	}
	for f.size > 0 {
		if batch, _ := f.take(); len(batch) == 0 {
			t.Fatal("bytes are left of nothing")
		}
	}
}

// An authority that votes twice in every period fills no disk.
func TestProofsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		h := c.betray(2)
		s := c.members[0].store
		for i := range 2 * maxProofs {
			var two [2]ballot
			for k := range two {
				b, _, err := makeBallot(&vote{author: h.signer.KeyHash(), period: time.Unix(int64(i)*600, 0), opinions: []opinion{{ID: id(byte(k)), Descriptors: named("x")}}}, h.signer, "test")
				if err != nil {
					t.Fatal(err)
				}
				two[k] = b
			}
			if err := s.putEquivocation(t.Context(), two[0], two[1]); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.proofs(0); n != maxProofs {
			t.Errorf("%d proofs are kept", n)
		}
	})
}
