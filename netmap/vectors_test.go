package netmap

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"safing/internal/canonical"
	"safing/tinker"
)

const vectorsFile = "../docs/spec/vectors/netmap.json"

var updateVectors = flag.Bool("update", false, "write "+vectorsFile+" anew")

// hexBytes are hexadecimal in JSON.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// vectors are explained in docs/spec/vectors/README.md.
type vectors struct {
	About        string          `json:"about"`
	AuthorityKey string          `json:"authority_key"`
	Nodes        []nodeVector    `json:"nodes"`
	Header       string          `json:"header"`
	Body         hexBytes        `json:"body"`
	Shards       []hexBytes      `json:"shards"`
	Statements   []string        `json:"statements"`
	Old          hexBytes        `json:"old_body"`
	Full         hexBytes        `json:"compressed"`
	Delta        hexBytes        `json:"compressed_after_old"`
	Refused      []refusedVector `json:"refused"`
	RTTs         []uint64        `json:"rtt_scale"`
	Rates        []uint64        `json:"rate_scale"`
}

type nodeVector struct {
	Seed       hexBytes `json:"identity_seed"`
	OwnerSeed  hexBytes `json:"owner_seed,omitempty"`
	Descriptor hexBytes `json:"descriptor"`
	Binding    hexBytes `json:"binding"`
	Keys       hexBytes `json:"keys,omitempty"`
}

type refusedVector struct {
	What  string   `json:"what"` // descriptor, keys or body
	Bytes hexBytes `json:"bytes"`
	Why   string   `json:"why"`
}

func TestVectors(t *testing.T) {
	made := makeVectors(t)
	if *updateVectors {
		b, err := json.MarshalIndent(made, "", " ")
		if err == nil {
			err = os.WriteFile(vectorsFile, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	compressed := v
	made.Full, made.Delta = v.Full, v.Delta // another version of the encoder may write others
	if diff := cmp.Diff(made, compressed); diff != "" {
		t.Errorf("what is made is not what %s has: %s", vectorsFile, diff)
	}
	v.check(t)
}

// check reads what the file has.
func (v vectors) check(t *testing.T) {
	t.Helper()
	h, err := ParseHeader(v.Header)
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeMap(h, v.Body)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range v.Shards {
		if m, err = m.AddKeys(i, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range v.Nodes {
		d, err := OpenDescriptor(n.Descriptor)
		if err != nil {
			t.Fatal(err)
		}
		on, ok := m.Node(d.ID)
		if want := d.Binding(); !ok || !bytes.Equal(want[:], n.Binding) || on.Binding() != want {
			t.Errorf("node %s has the binding %x, want %x", d.Name, want, n.Binding)
		}
		if on.Keys == nil != (n.Keys == nil) || on.Keys != nil && !bytes.Equal(on.Keys.Signed(), n.Keys) {
			t.Errorf("node %s has other keys", d.Name)
		}
	}
	for name, c := range map[string]struct{ compressed, old hexBytes }{"full": {v.Full, nil}, "delta": {v.Delta, v.Old}} {
		if body, err := Expand(c.compressed, c.old); err != nil || !bytes.Equal(body, v.Body) {
			t.Errorf("%s: another body, %v", name, err)
		}
	}
	network := &Network{Name: "test.example", Authorities: []Authority{{Key: v.AuthorityKey}}}
	for _, s := range v.Statements {
		if _, err := network.OpenStatement([]byte(s)); err != nil {
			t.Error(err)
		}
	}
	for _, r := range v.Refused {
		var err error
		want := ErrMap
		switch r.What {
		case "descriptor":
			_, err = OpenDescriptor(r.Bytes)
			want = ErrDescriptor
		case "keys":
			_, err = OpenKeys(r.Bytes)
			want = ErrKeys
		case "body":
			_, err = DecodeMap(m.Header(r.Bytes), r.Bytes)
		}
		if !errors.Is(err, want) {
			t.Errorf("%s, refused as %s: %v, want %v", r.What, r.Why, err, want)
		}
	}
}

// makeVectors makes a map of three nodes, and one before it.
func makeVectors(t *testing.T) vectors {
	t.Helper()
	v := vectors{About: "Vectors of the map of a Port17 network, explained in README.md beside this file. Bytes are hexadecimal. The keys are for tests alone."}
	signer := vectorSigner(t, &v)
	nodes := vectorNodes()
	var made []Node
	for i, d := range nodes {
		seed := bytes.Repeat([]byte{byte(i + 1)}, 32)
		key := ed25519.NewKeyFromSeed(seed)
		signed, err := d.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		binding := d.Binding()
		n := nodeVector{Seed: seed, Descriptor: signed, Binding: binding[:]}
		if d.OwnerKey != [32]byte{} {
			n.OwnerSeed = bytes.Repeat([]byte{0x11}, 32)
		}
		node := Node{Descriptor: d, Flags: Flags(i), Measured: uint64(i) * 5_000_000}
		if i > 0 { // of the first they are not known
			node.Keys = vectorKeys(t, d, key)
			n.Keys = node.Keys.Signed()
		}
		v.Nodes, made = append(v.Nodes, n), append(made, node)
	}
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	old, err := New("test.example", 16, at, at.Add(3*time.Hour), made[1:])
	if err != nil {
		t.Fatal(err)
	}
	m, err := New("test.example", 17, at.Add(10*time.Minute), at.Add(190*time.Minute), made)
	if err != nil {
		t.Fatal(err)
	}
	for i, sign := range []func(note.Signer) ([]byte, error){
		(&Canary{Network: "test.example", Date: at, Until: at.Add(30 * 24 * time.Hour), Good: true, Text: "All is well.\n"}).Sign,
		(&Moderation{Network: "test.example", Node: nodes[0].ID, Action: Trust, Date: at, Reason: "we know its operator"}).Sign,
	} {
		signed, err := sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		v.Statements = append(v.Statements, string(signed))
		m.Notices = append(m.Notices, Notice{Signed: signed, Appeal: []string{"", "thanks"}[i]})
	}
	v.finish(t, m, old)
	return v
}

func vectorSigner(t *testing.T, v *vectors) note.Signer {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x22}, 32))
	verifier, err := note.NewEd25519VerifierKey("test.example", key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v.AuthorityKey = verifier
	hash := verifier[len("test.example+") : len("test.example+")+8]
	signer, err := note.NewSigner("PRIVATE+KEY+test.example+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func vectorNodes() []*Descriptor {
	at := time.Date(2026, 11, 21, 9, 50, 0, 0, time.UTC)
	nodes := make([]*Descriptor, 3)
	for i := range nodes {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		nodes[i] = &Descriptor{
			ID: NodeID(key.Public().(ed25519.PublicKey)), Name: []string{"alder", "birch", "cedar"}[i], Owner: []string{"ada", "ada", "bob"}[i],
			Country: []string{"DE", "DE", ""}[i], ASN: []uint32{64500, 64501, 0}[i], Version: "port17/1",
			Addresses: addrPorts([]string{"8.8.8.8:1717", "9.9.9.9:1717", "[2600::3]:1717"}[i]), Published: at,
		}
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.Exit, _ = ParseExitPolicy([]string{"web"})
	a.Entrances = []Entrance{{Wrapping: QUIC, Addr: a.Addresses[0]}, {Wrapping: TLS, Addr: addrPorts("8.8.8.8:443")[0], Host: "www.example.org"}}
	a.Capacity, a.Load, a.MaxDelay, a.MaxPadding, a.Contact = 10_000_000, 30, time.Second, 100, "mailto:ada@example.org"
	owner := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x11}, 32))
	for _, d := range []*Descriptor{a, b} {
		d.Group = "cellar"
		copy(d.OwnerKey[:], owner.Public().(ed25519.PublicKey))
		d.OwnerProof = SignOwner(owner, d.ID, d.Group)
	}
	c.Closed, c.Appeal = true, "it was not me"
	a.Links = []Link{
		{To: b.ID, RTT: 12345 * time.Microsecond, Crossed: NewCrossed([]uint32{64500, 174, 64501}, []string{"DE", "FR"}, true)},
		{To: c.ID, RTT: 80 * time.Millisecond},
	}
	b.Links = []Link{
		{To: a.ID, RTT: 13 * time.Millisecond, Crossed: NewCrossed([]uint32{64501, 3356, 64500}, []string{"DE"}, true)},
		{To: c.ID, RTT: time.Millisecond}, // which the other does not have
	}
	c.Links = []Link{{To: a.ID, RTT: 79 * time.Millisecond}}
	return nodes
}

func vectorKeys(t *testing.T, d *Descriptor, key ed25519.PrivateKey) *Keys {
	t.Helper()
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	public := bytes.Repeat([]byte{0x33, d.ID[0]}, 1216/2)
	k := &Keys{ID: d.ID, Binding: d.Binding(), Published: at, Prekeys: []tinker.Prekey{
		{Suite: tinker.TK1, Public: public, NotBefore: at.Unix(), NotAfter: at.Add(4 * time.Hour).Unix()},
	}}
	signed, err := k.Sign(key)
	if err == nil {
		k, err = OpenKeys(signed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// finish writes the maps down, and what is none.
func (v *vectors) finish(t *testing.T, m, old *Map) {
	t.Helper()
	body, shards, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	oldBody, _, err := old.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v.Header, v.Body, v.Old = m.Header(body).String(), body, oldBody
	for _, s := range shards {
		v.Shards = append(v.Shards, s)
	}
	if v.Full, err = Compress(body, nil); err != nil {
		t.Fatal(err)
	}
	if v.Delta, err = Compress(body, oldBody); err != nil {
		t.Fatal(err)
	}
	read, err := DecodeMap(m.Header(body), body)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(spoil func(*bodyWire)) []byte {
		w := read.body(read.shards)
		spoil(w)
		b, err := canonical.Encode(w)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	flipped := bytes.Clone(v.Nodes[0].Descriptor)
	flipped[100] ^= 1
	v.Refused = []refusedVector{
		{"descriptor", flipped, "its signature is not that of the node"},
		{"descriptor", append(bytes.Clone(v.Nodes[0].Descriptor), 0), "a byte follows"},
		{"keys", v.Nodes[0].Descriptor, "it is a descriptor"},
		{"keys", v.Nodes[1].Keys[:200], "it is cut"},
		{"body", append(bytes.Clone(body), 0), "a byte follows"},
		{"body", spoilt(func(w *bodyWire) { w.Owners.Values = append(w.Owners.Values, w.Owners.Values[0]) }), "a table has a value twice"},
		{"body", spoilt(func(w *bodyWire) { w.Names[0] = "" }), "a node has no name"},
		{"body", spoilt(func(w *bodyWire) { w.Links.Refs[0]++ }), "a link leads to nobody"},
		{"body", spoilt(func(w *bodyWire) { w.Flags[0] |= 4 }), "there is no such flag"},
		{"body", spoilt(func(w *bodyWire) { w.Keys = w.Keys[1:] }), "it lacks the hash of a shard"},
	}
	v.RTTs, v.Rates = rttScale()[:], rateScale()[:]
}
