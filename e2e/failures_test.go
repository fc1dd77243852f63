package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/client"
)

// there is a client in the half of the network that has one authority alone.
type there struct{ socket string }

func (m *federation) startThere() there {
	m.t.Helper()
	ready := m.run(placeAddr(6, 0), "client", "--network", m.file, "--state", filepath.Join(m.dir, "there"), "--socks", "127.0.0.1:0")
	return there{ready["api"]}
}

func (c there) status() (s client.Status, err error) {
	out, err := port17("status", "--json", "--socket", c.socket)
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	return s, err
}

// When half of the nodes is parted from the other, the half with two
// authorities goes on and forgets the others; those use their last map until it
// expires. Afterwards all is as it was.
func (m *federation) testPart(t *testing.T) {
	c := m.startThere()
	before := m.client.Map()
	wantAcross, _ := m.across(before)
	m.part(true)
	defer m.part(false)
	cut := time.Now()
	status, err := c.status()
	if err != nil {
		t.Fatal(err)
	}
	half := m.firstHalf(before)
	forgotten := time.Duration(0)
	last, gap := before, time.Duration(0) // between maps here
	heldUntil := time.Time{}
	until(t, "one half goes on, and the map of the other expires", func() error {
		if now := m.client.Map(); now != last {
			gap = max(gap, periodOf(now).Sub(periodOf(last)))
			if last = now; forgotten == 0 && len(now.Nodes) <= half {
				forgotten = periodOf(now).Sub(cut)
			}
		}
		var err error
		if status, err = c.status(); err != nil {
			return err
		}
		_, routed := port17("route", "--socket", c.socket, m.echo.String())
		if time.Now().Before(status.Until.Add(-time.Second)) {
			if routed != nil || status.Problem != "" {
				t.Fatalf("there, with a valid map, a route fails: %v; %s", routed, status.Problem)
			}
			heldUntil = time.Now()
			return fmt.Errorf("the map there is valid until %v", status.Until)
		}
		if routed == nil || !strings.Contains(status.Problem, "out of date") {
			return fmt.Errorf("there, with an expired map, the status is %q", status.Problem)
		}
		if forgotten == 0 {
			return fmt.Errorf("map %d here has %d nodes", last.Sequence, len(last.Nodes))
		}
		return nil
	})
	t.Logf("parted for %v: here %d maps, at most %v apart, and the other half off the map after %v; there map %d for %v, and then %q",
		since(cut), last.Sequence-before.Sequence, gap, forgotten, status.Sequence, heldUntil.Sub(cut).Round(100*time.Millisecond), status.Problem)
	if last.Sequence < before.Sequence+3 || gap > 3*shortPeriod {
		t.Errorf("%d new maps, at most %v apart", last.Sequence-before.Sequence, gap)
	}
	if now := m.client.Map(); len(now.Nodes) != half || m.firstHalf(now) != half {
		t.Errorf("map %d has %d nodes, want the %d of this half", now.Sequence, len(now.Nodes), half)
	}
	m.testHeal(t, c, len(before.Nodes), wantAcross)
}

// firstHalf returns how many nodes of the first half are on the map.
func (m *federation) firstHalf(now *netmap.Map) (n int) {
	for i := range now.Nodes {
		if m.inFirstHalf(now.Nodes[i].ID) {
			n++
		}
	}
	return n
}

func (m *federation) testHeal(t *testing.T, c there, nodes, across int) {
	m.part(false)
	healed := time.Now()
	until(t, "the other half follows", func() error {
		status, err := c.status()
		if err != nil {
			return err
		}
		if status.Problem != "" || status.Sequence+1 < m.client.Map().Sequence {
			return fmt.Errorf("map %d there, and %d here: %s", status.Sequence, m.client.Map().Sequence, status.Problem)
		}
		return nil
	})
	follows := since(healed)
	until(t, "all nodes are back", func() error {
		if now := m.client.Map(); len(now.Nodes) < nodes {
			return fmt.Errorf("map %d has %d nodes", now.Sequence, len(now.Nodes))
		}
		return nil
	})
	back := since(healed)
	until(t, "links lead from one half to the other again", func() error {
		now := m.client.Map()
		if n, _ := m.across(now); n < across*8/10 {
			return fmt.Errorf("map %d has %d of %d", now.Sequence, n, across)
		}
		return nil
	})
	linked := since(healed)
	until(t, "all authorities serve the same map", m.agree)
	t.Logf("healed: the other half had a new map after %v, all nodes were on it after %v, their links after %v, and all authorities had the same one after %v",
		follows, back, linked, since(healed))
}

// agree says whether all authorities that run have the same newest map.
func (m *federation) agree() error {
	var first []byte
	for i := range m.authorities {
		r, err := http.Get("http://" + m.authorityAddr(i).String() + "/log/checkpoint")
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return err
		}
		text, _, _ := bytes.Cut(b, []byte("\n\n"))
		if i == 0 {
			first = text
		}
		if !bytes.Equal(text, first) {
			return fmt.Errorf("authority %d has the log\n%s\nand authority 0\n%s", i, text, first)
		}
	}
	return nil
}

// With one authority dead there are maps as before. With two, clients go on with
// the last one until it expires, and say so then; when the authorities are back,
// there are maps again.
func (m *federation) testAuthorities(t *testing.T) {
	m.authorities[2].kill()
	m.awaitMaps(t, 2)
	m.authorities[1].kill()
	killed := time.Now()
	valid := 0
	for now := m.client.Map(); time.Now().Before(now.ValidUntil.Add(-time.Second)); now = m.client.Map() {
		conn, err := m.dial(fmt.Sprint("without", valid))
		if err != nil {
			t.Fatalf("with a map that is valid until %v: %v", now.ValidUntil, err)
		}
		conn.Close()
		valid++
	}
	dialled := valid
	until(t, "the client says that its map has expired", func() error {
		dialled++ // those that were built before still do
		if _, err := m.dial(fmt.Sprint("without", dialled)); !errors.Is(err, netmap.ErrExpired) {
			return fmt.Errorf("a new circuit: %w", err)
		}
		if p := m.client.Status().Problem; !strings.Contains(p, "out of date") {
			return fmt.Errorf("the status is %q", p)
		}
		return nil
	})
	t.Logf("without two of three authorities %d circuits were built in %v, and then: %s", valid, since(killed), m.client.Status().Problem)
	begun := time.Now()
	m.authorities[1], m.authorities[2] = m.startAuthority(1), m.startAuthority(2)
	until(t, "the client has a map again", func() error {
		if p := m.client.Status().Problem; p != "" {
			return errors.New(p)
		}
		return nil
	})
	t.Logf("the client had a map again %v after the authorities were started", since(begun))
}

// awaitMaps waits for so many new maps, each of the period after the last.
func (m *federation) awaitMaps(t *testing.T, n int) {
	t.Helper()
	last := m.client.Map()
	for range n {
		until(t, "another map", func() error {
			if now := m.client.Map(); now.Sequence > last.Sequence {
				return nil
			}
			return fmt.Errorf("the newest is map %d", last.Sequence)
		})
		now := m.client.Map()
		t.Logf("map %d, %v after the last", now.Sequence, periodOf(now).Sub(periodOf(last)))
		last = now
	}
}
