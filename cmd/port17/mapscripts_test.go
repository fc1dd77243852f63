package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

// A mint signs maps of a network with three authorities, of which two have to
// agree, and a witness.
type mint struct {
	*netmap.Network
	signers []note.Signer // of the authorities, and then of the witness
}

func newMint(t *testing.T) *mint {
	t.Helper()
	m := &mint{Network: &netmap.Network{Name: "test", Threshold: 2, WitnessThreshold: 1}}
	for _, name := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"} {
		private, public, err := note.GenerateKey(rand.Reader, "test")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := note.NewSigner(private)
		if err != nil {
			t.Fatal(err)
		}
		m.signers = append(m.signers, signer)
		m.Authorities = append(m.Authorities, netmap.Authority{URL: name, Key: public})
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := netmap.CosignerKey("witness.example", public)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := netmap.NewCosigner("witness.example", private, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	m.signers = append(m.signers, witness)
	m.Witnesses = []netmap.Witness{{URL: "http://127.0.0.1:4", Key: key}}
	return m
}

// strike writes a signed map that is valid from then on for three hours.
func (m *mint) strike(t *testing.T, path string, sequence uint64, from time.Time, nodes []netmap.Node, notices []netmap.Notice, signers ...note.Signer) {
	t.Helper()
	made, err := netmap.New("test", sequence, from, from.Add(3*time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	made = netmaptest.WithKeys(1, made, from)
	made.Notices = notices
	signed, err := netmaptest.Sign(made, signers...)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, signed, 0o600); err != nil {
		t.Fatal(err)
	}
}

type statement interface {
	Sign(note.Signer) ([]byte, error)
}

func (m *mint) notice(t *testing.T, authority int, s statement, appeal string) netmap.Notice {
	t.Helper()
	signed, err := s.Sign(m.signers[authority])
	if err != nil {
		t.Fatal(err)
	}
	return netmap.Notice{Signed: signed, Appeal: appeal}
}

// TestMapScripts runs scripts with maps that are signed, well or not.
func TestMapScripts(t *testing.T) {
	m := newMint(t)
	now := time.Now().UTC().Truncate(time.Second)
	world := netmaptest.World(1, 40)
	nodes := append([]netmap.Node{}, world.Nodes...)
	suspended := nodes[39]
	date := now.Add(-time.Hour)
	moderate := func(id netmap.NodeID, action netmap.Action, reason string) *netmap.Moderation {
		return &netmap.Moderation{Network: "test", Node: id, Action: action, Date: date, Reason: reason}
	}
	notices := []netmap.Notice{
		m.notice(t, 0, moderate(suspended.ID, netmap.Suspend, "it changes pages"), "the resolver is repaired"),
		m.notice(t, 1, moderate(suspended.ID, netmap.Suspend, "it changes what I load"), "the resolver is repaired"),
		m.notice(t, 1, moderate(nodes[0].ID, netmap.Distrust, "its operator has moved"), ""),
		m.notice(t, 0, moderate(nodes[1].ID, netmap.Suspend, "I do not like it"), ""),
		m.notice(t, 0, &netmap.Canary{Network: "test", Date: date, Until: now.Add(30 * 24 * time.Hour), Good: true, Text: "All is well.\n"}, ""),
		m.notice(t, 2, &netmap.Canary{Network: "test", Date: date, Until: now.Add(time.Hour)}, ""),
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := m.Save(file("network.toml")); err != nil {
		t.Fatal(err)
	}
	changed := *nodes[2].Descriptor
	changed.Exit, changed.Country = netmap.ExitPolicy{}, "XX"
	later := append([]netmap.Node{}, nodes[:39]...)
	later[2].Descriptor, later[2].Flags = &changed, netmap.FlagTrusted
	m.strike(t, file("old"), 7, now.Add(-time.Hour), nodes, notices[4:5], m.signers...)
	m.strike(t, file("new"), 12, now.Add(-time.Minute), later, notices, m.signers[0], m.signers[2], m.signers[3])
	m.strike(t, file("expired"), 3, now.Add(-4*time.Hour), nodes, nil, m.signers...)
	m.strike(t, file("unsigned"), 12, now.Add(-time.Minute), later, nil, m.signers[1], m.signers[3])
	m.strike(t, file("unwitnessed"), 12, now.Add(-time.Minute), later, nil, m.signers[:3]...)
	whole, err := os.ReadFile(file("new"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("broken"), append(whole[:len(whole)-1:len(whole)-1], whole[len(whole)-1]^1), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/maps", Setup: func(e *testscript.Env) error {
		e.Setenv("MAPS", dir)
		e.Setenv("NETWORK", file("network.toml"))
		e.Setenv("SUSPENDED", suspended.ID.String())
		e.Setenv("CHANGED", changed.Name)
		e.Setenv("OWNER", netmap.OwnerKey(withOwnerKey(t, later).OwnerKey).String())
		return nil
	}})
}

// withOwnerKey returns a node whose owner has a key.
func withOwnerKey(t *testing.T, nodes []netmap.Node) netmap.Node {
	t.Helper()
	for _, n := range nodes {
		if n.OwnerKey != [32]byte{} {
			return n
		}
	}
	t.Fatal("no owner has a key")
	return netmap.Node{}
}

// Who waits for a node to be listed learns why it is not, if enough authorities
// say so.
func TestSuspension(t *testing.T) {
	m := newMint(t)
	date := time.Now().UTC().Truncate(time.Second)
	id := netmap.NodeID{7}
	notice := func(authority int, action netmap.Action) netmap.Notice {
		return m.notice(t, authority, &netmap.Moderation{Network: "test", Node: id, Action: action, Date: date, Reason: "it changes pages"}, "")
	}
	for name, c := range map[string]struct {
		notices []netmap.Notice
		want    string
	}{
		"nobody":     {nil, ""},
		"too few":    {[]netmap.Notice{notice(0, netmap.Suspend)}, ""},
		"taken back": {[]netmap.Notice{notice(0, netmap.Suspend), notice(1, netmap.Restore)}, ""},
		"enough": {
			[]netmap.Notice{notice(0, netmap.Suspend), notice(2, netmap.Suspend)},
			"authorities have suspended the node: http://127.0.0.1:1: it changes pages, http://127.0.0.1:3: it changes pages; answer with port17 node appeal",
		},
	} {
		on := &netmap.Map{Network: "test", ValidAfter: date, ValidUntil: date.Add(time.Hour), Notices: c.notices}
		if err := suspension(m.Network, on, id); err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
