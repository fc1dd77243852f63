package netmap

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Bounds of a map.
const (
	// MaxMap is the greatest length of a signed map, in bytes.
	MaxMap   = 64 << 20
	maxNodes = 16384
)

// Flags are what the authority says about a node.
type Flags uint32

// FlagTrusted marks nodes that the authority has examined.
const FlagTrusted Flags = 1 << 0

// A Node is a member of the network.
type Node struct {
	*Descriptor
	Flags  Flags
	Signed []byte // the descriptor as its node signed it
}

// A Map says which nodes there are, for a time.
type Map struct {
	Network    string
	Sequence   uint64 // rises with every map
	ValidAfter time.Time
	ValidUntil time.Time
	Nodes      []Node

	byID map[NodeID]int
}

// Node returns the node with the identity.
func (m *Map) Node(id NodeID) (Node, bool) {
	i, ok := m.byID[id]
	if !ok {
		return Node{}, false
	}
	return m.Nodes[i], true
}

// New returns a map of the nodes, whose descriptors must be signed. No identity
// may appear twice.
func New(network string, sequence uint64, after, until time.Time, nodes []Node) (*Map, error) {
	m := &Map{Network: network, Sequence: sequence, ValidAfter: after, ValidUntil: until, Nodes: nodes}
	return m, m.index()
}

func (m *Map) index() error {
	m.byID = make(map[NodeID]int, len(m.Nodes))
	for i, n := range m.Nodes {
		if _, ok := m.byID[n.ID]; ok {
			return fmt.Errorf("%w: node %s is in it twice", ErrMap, n.ID.Short())
		}
		m.byID[n.ID] = i
	}
	return nil
}

// ErrMap means that a map is malformed.
var ErrMap = errors.New("map is invalid")

type mapWire struct {
	Nodes []nodeWire `cbor:"1,keyasint"`
}

type nodeWire struct {
	Signed []byte `cbor:"1,keyasint"`
	Flags  Flags  `cbor:"2,keyasint"`
}

// Sign returns the map's wire form: a C2SP signed note, a zero byte, and the
// body whose hash the note names.
func (m *Map) Sign(signers ...note.Signer) ([]byte, error) {
	var w mapWire
	for _, n := range m.Nodes {
		w.Nodes = append(w.Nodes, nodeWire{Signed: n.Signed, Flags: n.Flags})
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
	return fmt.Sprintf("port17 map v1\nnetwork %s\nsequence %d\nvalid-after %s\nvalid-until %s\nsha256 %s\n",
		m.Network, m.Sequence, m.ValidAfter.UTC().Format(time.RFC3339), m.ValidUntil.UTC().Format(time.RFC3339),
		base64.StdEncoding.EncodeToString(sum[:]))
}

// parseHeader reads the text and returns the body's hash.
func (m *Map) parseHeader(text string) (hash string, err error) {
	var after, until string
	if _, err := fmt.Sscanf(text, "port17 map v1\nnetwork %s\nsequence %d\nvalid-after %s\nvalid-until %s\nsha256 %s\n",
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
		d, err := OpenDescriptor(n.Signed)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMap, err)
		}
		m.Nodes = append(m.Nodes, Node{Descriptor: d, Flags: n.Flags, Signed: n.Signed})
	}
	return m.index()
}
