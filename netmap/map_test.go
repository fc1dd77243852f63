package netmap

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func newMap(t testing.TB, n int) *Map {
	t.Helper()
	var nodes []Node
	for i := range n {
		d, key := newDescriptor(t, byte(i))
		nodes = append(nodes, Node{Descriptor: d, Keys: newKeys(t, d, key), Flags: FlagTrusted, Measured: 1 << 20})
	}
	now := time.Now().UTC().Truncate(time.Second)
	m, err := New("test", 7, now, now.Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// signMap returns the map as the newest leaf of a log.
func signMap(t testing.TB, m *Map, signers ...note.Signer) []byte {
	t.Helper()
	body, _, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	log := []string{FirstLeaf(m.Network)}
	for uint64(len(log)) < m.Sequence {
		log = append(log, "an older map\n")
	}
	log = append(log, m.Header(body).String())
	root, proof := proveIn(t, log, int64(m.Sequence))
	checkpoint, err := SignCheckpoint(MakeCheckpoint(m.Network, int64(len(log)), root), signers...)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := AssembleMap(log[m.Sequence], proof, checkpoint, body)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestMap(t *testing.T) {
	network, signer := newNetwork(t)
	m := newMap(t, 3)
	signed := signMap(t, m, signer)
	now := m.ValidAfter
	got, err := network.Verify(signed, now)
	if err != nil {
		t.Fatal(err)
	}
	if got.Sequence != 7 || len(got.Nodes) != 3 || !got.ValidUntil.Equal(m.ValidUntil) {
		t.Errorf("map %d with %d nodes until %v", got.Sequence, len(got.Nodes), got.ValidUntil)
	}
	if n, ok := got.Node(m.Nodes[1].ID); !ok || n.Flags != FlagTrusted || n.Name != "alder" {
		t.Errorf("node: %v %+v", ok, n)
	}
	if _, err := network.Verify(signed, now.Add(time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("an hour later: %v, want %v", err, ErrExpired)
	}
	if _, err := network.Verify(signed, now.Add(-time.Second)); !errors.Is(err, ErrNotYet) {
		t.Errorf("a second before: %v, want %v", err, ErrNotYet)
	}
	other, _ := newNetwork(t)
	if _, err := other.Verify(signed, now); !errors.Is(err, ErrSignature) {
		t.Errorf("of another authority: %v, want %v", err, ErrSignature)
	}
	two := *network
	two.Authorities = append(two.Authorities, other.Authorities...)
	two.Threshold = 2
	if _, err := two.Verify(signed, now); !errors.Is(err, ErrSignature) {
		t.Errorf("one signature of two: %v, want %v", err, ErrSignature)
	}
	if _, err := network.Verify(make([]byte, MaxMap+1), now); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v, want %v", err, ErrTooLarge)
	}
	three := *network
	_, witness := testCosigner(t, "witness", 1, now)
	three.Witnesses, three.WitnessThreshold = []Witness{{URL: "http://127.0.0.1:2", Key: witness}}, 1
	if _, err := three.Verify(signed, now); !errors.Is(err, ErrWitness) {
		t.Errorf("without a witness: %v, want %v", err, ErrWitness)
	}
	for i := 0; i < len(signed); i += 7 {
		flipped := bytes.Clone(signed)
		flipped[i] ^= 1
		if _, err := network.Verify(flipped, now); err == nil {
			t.Fatalf("a map with byte %d flipped was accepted", i)
		}
	}
}

// Where the network file does not say that nodes may be at private addresses,
// nobody is sent there, and the other nodes are not lost.
func TestPrivateAddresses(t *testing.T) {
	network, signer := newNetwork(t)
	lists := [][]string{
		{"8.8.8.8:17", "[2600::1]:17"},
		{"10.0.0.1:17"},
		{"127.0.0.1:17"},
		{"169.254.169.254:80"},
		{"100.64.0.1:17"},
		{"8.8.8.8:17", "192.168.0.1:17"},
		{"[::1]:17"},
		{"[fd00::1]:17"},
		{"[64:ff9b::a00:1]:17"},
		{"[2600::2]:17"},
	}
	public := map[int]bool{0: true, len(lists) - 1: true}
	var nodes []Node
	for i, list := range lists {
		d, _ := newDescriptor(t, byte(i))
		d.Addresses = addrPorts(list...)
		if err := d.CheckPublic(); public[i] != (err == nil) || err != nil && !errors.Is(err, ErrDescriptor) {
			t.Errorf("%v: %v", list, err)
		}
		nodes = append(nodes, Node{Descriptor: d})
	}
	now := time.Now().UTC().Truncate(time.Second)
	m, err := New("test", 7, now, now.Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	signed := signMap(t, m, signer)
	for _, private := range []bool{true, false} {
		network.PrivateAddresses = private
		got, err := network.Verify(signed, now)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range nodes {
			if found, ok := got.Node(n.ID); ok != (private || public[i]) || ok && found.ID != n.ID {
				t.Errorf("private addresses %v: node at %v is on the map: %v", private, lists[i], ok)
			}
		}
	}
}
