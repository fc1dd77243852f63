package netmap

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Bounds of a map.
const (
	// MaxMap is the greatest length of a signed map, in bytes.
	MaxMap   = 64 << 20
	maxNodes = 16384
)

// A Map says which nodes there are, for a time. New makes one.
type Map struct {
	Network    string
	Sequence   uint64 // rises with every map
	ValidAfter time.Time
	ValidUntil time.Time
	Nodes      []Node // by identity

	edges edges
}

// New returns a map of the nodes, in the order of their identities. No identity
// may appear twice.
func New(network string, sequence uint64, after, until time.Time, nodes []Node) (*Map, error) {
	m := &Map{Network: network, Sequence: sequence, ValidAfter: after, ValidUntil: until, Nodes: slices.Clone(nodes)}
	return m, m.index()
}

// index puts the nodes in order and finds their edges.
func (m *Map) index() error {
	slices.SortFunc(m.Nodes, func(a, b Node) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for i := 1; i < len(m.Nodes); i++ {
		if m.Nodes[i].ID == m.Nodes[i-1].ID {
			return fmt.Errorf("%w: node %s is in it twice", ErrMap, m.Nodes[i].ID.Short())
		}
	}
	m.edges = newEdges(len(m.Nodes), m.pairs())
	return nil
}

// Index returns where in Nodes the node with the identity is.
func (m *Map) Index(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(m.Nodes, id, func(n Node, id NodeID) int { return bytes.Compare(n.ID[:], id[:]) })
}

// Node returns the node with the identity.
func (m *Map) Node(id NodeID) (Node, bool) {
	i, ok := m.Index(id)
	if !ok {
		return Node{}, false
	}
	return m.Nodes[i], true
}

// ErrMap means that a map is malformed.
var ErrMap = errors.New("map is invalid")

type mapWire struct {
	Nodes []nodeWire `cbor:"1,keyasint"`
}

type nodeWire struct {
	Descriptor descriptorWire `cbor:"1,keyasint"`
	Flags      Flags          `cbor:"2,keyasint,omitempty"`
	Measured   uint64         `cbor:"3,keyasint,omitempty"`
	Keys       []byte         `cbor:"4,keyasint,omitempty"`
}

// Sign returns the map's wire form: a C2SP signed note, a zero byte, and the
// body whose hash the note names.
func (m *Map) Sign(signers ...note.Signer) ([]byte, error) {
	var w mapWire
	for _, n := range m.Nodes {
		node := nodeWire{Descriptor: n.wire(), Flags: n.Flags, Measured: n.Measured}
		node.Descriptor.OwnerProof = nil
		if n.Keys != nil {
			node.Keys = n.Keys.signed
		}
		w.Nodes = append(w.Nodes, node)
	}
	body, err := encode(w)
	if err != nil {
		return nil, fmt.Errorf("encode map: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: m.header(body)}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign map: %w", err)
	}
	return append(append(signed, 0), body...), nil
}

// header is the text that authorities sign.
func (m *Map) header(body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf("port17 map v2\nnetwork %s\nsequence %d\nvalid-after %s\nvalid-until %s\nsha256 %s\n",
		m.Network, m.Sequence, m.ValidAfter.UTC().Format(time.RFC3339), m.ValidUntil.UTC().Format(time.RFC3339),
		base64.StdEncoding.EncodeToString(sum[:]))
}

// parseHeader reads the text and returns the body's hash.
func (m *Map) parseHeader(text string) (hash string, err error) {
	var after, until string
	if _, err := fmt.Sscanf(text, "port17 map v2\nnetwork %s\nsequence %d\nvalid-after %s\nvalid-until %s\nsha256 %s\n",
		&m.Network, &m.Sequence, &after, &until, &hash); err != nil {
		return "", fmt.Errorf("%w: its header can't be read: %w", ErrMap, err)
	}
	if m.ValidAfter, err = time.Parse(time.RFC3339, after); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMap, err)
	}
	if m.ValidUntil, err = time.Parse(time.RFC3339, until); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMap, err)
	}
	return hash, nil
}

// open fills the map from its two parts, of which the text is authentic.
func (m *Map) open(text string, body []byte) error {
	if _, err := m.parseHeader(text); err != nil {
		return err
	}
	if m.header(body) != text {
		return fmt.Errorf("%w: its body is not the one that was signed", ErrMap)
	}
	var w mapWire
	if err := decode(body, &w); err != nil {
		return fmt.Errorf("%w: %w", ErrMap, err)
	}
	for _, n := range w.Nodes {
		node, err := n.node()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMap, err)
		}
		m.Nodes = append(m.Nodes, node)
	}
	return m.index()
}

func (w *nodeWire) node() (Node, error) {
	d, err := w.Descriptor.descriptor()
	if err != nil {
		return Node{}, err
	}
	n := Node{Descriptor: d, Flags: w.Flags, Measured: w.Measured}
	if len(w.Keys) > 0 {
		if n.Keys, err = OpenKeys(w.Keys); err != nil {
			return Node{}, err
		}
		if n.Keys.ID != n.ID {
			return Node{}, fmt.Errorf("%w: of node %s instead of %s", ErrKeys, n.Keys.ID.Short(), n.ID.Short())
		}
	}
	return n, d.validate()
}
