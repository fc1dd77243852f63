package authority

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
)

// judge signs what an authority's operator thinks of a node.
func (c *council) judge(author int, node netmap.NodeID, action netmap.Action, reason string) []byte {
	c.t.Helper()
	s, err := NewSigner("test", c.keys[author])
	if err != nil {
		c.t.Fatal(err)
	}
	m := &netmap.Moderation{Network: "test", Node: node, Action: action, Date: time.Now(), Reason: reason}
	signed, err := m.Sign(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return signed
}

func (c *council) state(to int, signed []byte) {
	c.t.Helper()
	if r := c.post(to, "/v1/statements", signed); r.StatusCode != http.StatusNoContent {
		c.t.Errorf("statement: %s", r.Status)
	}
}

// What enough operators want happens; what one has said is on the map with its
// reason, and stays there while its authority is away.
func TestModeration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.appeal = "it was repaired"
		next := func(nodes, notices int) *netmap.Map {
			t.Helper()
			c.publish(1, c.running()...)
			c.publish(2, c.running()...)
			c.period()
			m := c.agree(nodes)
			if len(m.Notices) != notices {
				t.Errorf("map %d has %d statements, want %d", m.Sequence, len(m.Notices), notices)
			}
			return m
		}
		c.state(0, c.judge(0, id(1), netmap.Suspend, "it changes pages"))
		c.state(0, c.judge(0, id(2), netmap.Trust, "known in person"))
		if m := next(2, 2); m.Nodes[0].Flags|m.Nodes[1].Flags != 0 {
			t.Error("one authority has decided")
		}
		c.state(2, c.judge(1, id(1), netmap.Suspend, "seen here, too"))
		c.state(2, c.judge(2, id(2), netmap.Trust, "known in person"))
		m := next(1, 4)
		if n, ok := m.Node(id(2)); !ok || n.Flags&netmap.FlagTrusted == 0 {
			t.Errorf("node 2: %v", n)
		}
		c.stop(1)
		m = next(1, 4)
		reasons := fmt.Sprintf("%s", m.Notices)
		for _, want := range []string{"it changes pages", "seen here, too", "it was repaired"} {
			if !strings.Contains(reasons, want) {
				t.Errorf("%q is not among the map's statements %s", want, reasons)
			}
		}
		c.start(1) // which has what was said on disk
		time.Sleep(time.Second)
		c.state(0, c.judge(0, id(1), netmap.Restore, "it was repaired"))
		next(2, 4)
	})
}

func TestStatementsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		a := c.members[0]
		a.statements.most = 2
		old := c.judge(0, id(1), netmap.Suspend, "old")
		time.Sleep(time.Minute)
		first := c.judge(0, id(1), netmap.Suspend, "new")
		for range 2 { // the same again is no mistake
			c.state(0, first)
		}
		c.state(0, c.judge(0, id(2), netmap.Suspend, "x"))
		for want, signed := range map[string][]byte{
			"newer statement": old,
			"about 2 subject": c.judge(0, id(3), netmap.Suspend, "x"),
			"none of the net": []byte(strings.Replace(string(first), "new", "own", 1)),
		} {
			if err := a.AddStatement(t.Context(), signed); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q in it", err, want)
			}
		}
		m := &netmap.Moderation{Network: "test", Node: id(1), Action: netmap.Restore, Date: time.Now().Add(time.Hour), Reason: "x"}
		early, err := m.Sign(a.signer)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.AddStatement(t.Context(), early); err == nil || !strings.Contains(err.Error(), "check the clock") {
			t.Errorf("a statement of tomorrow: %v", err)
		}
		c.state(0, c.judge(1, id(3), netmap.Suspend, "of another authority"))
	})
}

// What an operator says with a clock that is ahead does not count before its
// date, and what was said before that does until then.
func TestStatementOfLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.state(0, c.judge(0, id(1), netmap.Suspend, "it changes pages"))
		c.state(1, c.judge(1, id(1), netmap.Suspend, "it changes pages"))
		s := c.members[0].schedule
		time.Sleep(time.Until(s.next(time.Now()).Add(-time.Minute)))
		signer, err := NewSigner("test", c.keys[0])
		if err != nil {
			t.Fatal(err)
		}
		later := &netmap.Moderation{Network: "test", Node: id(1), Action: netmap.Restore, Date: time.Now().Add(5 * time.Minute), Reason: "it was repaired"}
		signed, err := later.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		c.state(2, signed)
		c.publish(1, 0, 1, 2)
		c.stop(1) // what it knows is read again
		c.start(1)
		c.period()
		c.agree(0)
		c.publish(1, 0, 1, 2)
		c.period()
		if m := c.agree(1); len(m.Notices) != 2 {
			t.Errorf("%d statements", len(m.Notices))
		}
	})
}
