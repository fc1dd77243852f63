package netmap

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Keys are taken from shards that the body names, if the nodes have signed them.
func TestShards(t *testing.T) {
	m := newMap(t, ShardNodes+2)
	changed := *m.Nodes[1].Descriptor
	changed.Name = "renamed"
	m.Nodes[1].Descriptor = &changed
	m.Nodes[2].Keys = nil
	body, shards, err := m.Encode()
	if err != nil || len(shards) != 2 {
		t.Fatalf("%d shards, %v", len(shards), err)
	}
	read, err := DecodeMap(m.Header(body), body)
	if err != nil {
		t.Fatal(err)
	}
	full := read
	for i, s := range shards {
		if full, err = full.AddKeys(i, s); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range full.Nodes {
		if want := i != 1 && i != 2; (n.Keys != nil) != want || want && !bytes.Equal(n.Keys.Signed(), m.Nodes[i].Keys.Signed()) {
			t.Errorf("keys of node %d: %v", i, n.Keys)
		}
		if read.Nodes[i].Keys != nil || read.Shard(i) != i/ShardNodes {
			t.Errorf("node %d has keys before they came, or is in shard %d", i, read.Shard(i))
		}
	}
	for name, try := range map[string]func() (*Map, error){
		"other shard": func() (*Map, error) { return read.AddKeys(0, shards[1]) },
		"no shard":    func() (*Map, error) { return read.AddKeys(2, shards[1]) },
		"negative":    func() (*Map, error) { return read.AddKeys(-1, shards[1]) },
		"made":        func() (*Map, error) { return m.AddKeys(0, shards[0]) },
	} {
		if _, err := try(); !errors.Is(err, ErrMap) {
			t.Errorf("%s: %v, want %v", name, err, ErrMap)
		}
	}
	// What a majority of authorities signs does not make keys true.
	for name, nodes := range map[string][]Node{
		"another node's": {m.Nodes[3]},
		"short":          {},
	} {
		b, err := encodeShards(nodes)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			b = [][]byte{{0x80}}
		}
		lie := *read
		lie.shards = [][sha256.Size]byte{sha256.Sum256(b[0])}
		if _, err := lie.AddKeys(0, b[0]); !errors.Is(err, ErrMap) {
			t.Errorf("%s: %v, want %v", name, err, ErrMap)
		}
	}
}

// Shards are of the nodes of the body, whichever of them are left out.
func TestShardsOfPublicNodes(t *testing.T) {
	m := newMap(t, ShardNodes+6)
	for i, n := range m.Nodes {
		d := *n.Descriptor
		if d.Addresses = addrPorts("8.8.8.8:17"); i%3 == 0 {
			d.Addresses = addrPorts("10.0.0.1:17")
		}
		d.Links = nil
		for k, o := range m.Nodes {
			if k != i {
				d.Links = append(d.Links, Link{To: o.ID, RTT: time.Millisecond})
			}
		}
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seedOf(t, n.ID)}, 32))
		m.Nodes[i] = Node{Descriptor: &d, Keys: newKeys(t, &d, key)}
	}
	m, err := New(m.Network, m.Sequence, m.ValidAfter, m.ValidUntil, m.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	body, shards, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := DecodeMap(m.Header(body), body)
	if err != nil {
		t.Fatal(err)
	}
	public := read.public()
	for i := range shards { // the last first
		if public, err = public.AddKeys(len(shards)-1-i, shards[len(shards)-1-i]); err != nil {
			t.Fatal(err)
		}
	}
	if want := len(m.Nodes) - (len(m.Nodes)+2)/3; len(public.Nodes) != want {
		t.Fatalf("%d nodes, want %d", len(public.Nodes), want)
	}
	for i, n := range public.Nodes {
		if n.Keys == nil || n.Keys.ID != n.ID || len(public.Edges(i)) != len(public.Nodes)-1 {
			t.Errorf("node %d: keys %v, %d links", i, n.Keys, len(public.Edges(i)))
		}
		for _, e := range public.Edges(i) {
			if e.To == i {
				t.Errorf("node %d has a link to itself", i)
			}
		}
	}
	if again := m.public().public(); cmp.Diff(len(again.Nodes), len(public.Nodes)) != "" {
		t.Error("who is left out changes")
	}
}

func seedOf(t *testing.T, id NodeID) byte {
	t.Helper()
	for seed := range 256 {
		if NodeID(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(seed)}, 32)).Public().(ed25519.PublicKey)) == id {
			return byte(seed)
		}
	}
	t.Fatal("it is no node of the test")
	return 0
}

func FuzzAddKeys(f *testing.F) {
	made := newMap(f, 2)
	body, shards, err := made.Encode()
	if err != nil {
		f.Fatal(err)
	}
	m, err := DecodeMap(made.Header(body), body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shards[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		lie := *m
		lie.shards = [][sha256.Size]byte{sha256.Sum256(b)}
		if _, err := lie.AddKeys(0, b); err != nil && !errors.Is(err, ErrMap) {
			t.Error(err)
		}
	})
}
