package link_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap/netmaptest"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
	"safing/tinker/policy"
)

// suites are one side's policies, and those who sign them.
type suites struct {
	*policy.Policies
	signer  note.Signer
	version uint64
}

func newSuites(t *testing.T) *suites {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	n := netmaptest.Silent()
	n.Authorities[0].Key = vkey
	p, err := n.LoadPolicies(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return &suites{Policies: p, signer: signer}
}

// prefer takes a policy by which one suite is preferred, and forbids another.
func (s *suites) prefer(t *testing.T, one, other tinker.SuiteID) {
	t.Helper()
	s.version++
	p := &policy.Policy{
		Network: "test", Version: s.version, Expires: time.Now().Add(100 * time.Hour),
		Rules: []policy.Rule{{Suite: one, Status: policy.Preferred}, {Suite: other, Status: policy.Forbidden}},
	}
	signed, err := p.Sign(s.signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(signed); err != nil {
		t.Fatal(err)
	}
}

// A link whose suite is forbidden goes on in another one, if both sides say so;
// otherwise it ends when its keys are renewed.
func TestSuiteOfRunningLinkIsForbidden(t *testing.T) {
	for _, test := range []struct {
		near, far tinker.SuiteID // preferred, and TK1 is forbidden; 0: no news
		want      string         // of the error; empty if the link goes on
	}{
		{0, 0, ""},
		{tinker.TK2, tinker.TK2, ""},
		{tinker.TK3, tinker.TK3, ""},
		{0, tinker.TK2, "the suite is forbidden"},
		{tinker.TK2, 0, "ranks lower than the one in use"},
		{tinker.TK2, tinker.TK3, "not in the policy"},
	} {
		t.Run(fmt.Sprint(test.near, test.far), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, other := newSuites(t), newSuites(t)
				k := newTaker()
				far := k.config(t, true)
				far.Policies = other.Policies
				near, responder := pipe(t, link.Config{Identity: newNode(t).key, Policies: one.Policies}, far)
				g, in := open(t, near)
				(<-k).want(t, 0, 4)
				in.want(t, 0, 4)
				for s, prefers := range map[*suites]tinker.SuiteID{one: test.near, other: test.far} {
					if prefers != 0 {
						s.prefer(t, prefers, tinker.TK1)
					}
				}
				time.Sleep(20 * time.Minute)
				if test.want != "" {
					<-near.Done()
					<-responder.Done()
					wantError(t, "the responder", responder.Err(), test.want)
					return
				}
				push(t, g, 4, 20)
				in.want(t, 4, 20)
				g.Close(cell.Finished, 0)
				synctest.Wait() // no cell is under way when the link ends
			})
		})
	}
}
