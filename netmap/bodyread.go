package netmap

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"safing/internal/canonical"
)

// DecodeMap reads the body that a header names. Who has signed the header is for
// the caller to know. The error wraps [ErrMap] or [ErrTooLarge].
func DecodeMap(h Header, body []byte) (*Map, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: its body has %d bytes, at most %d are allowed", ErrTooLarge, len(body), MaxBody)
	}
	if sha256.Sum256(body) != h.Body {
		return nil, fmt.Errorf("%w: its body is not the one that was signed", ErrMap)
	}
	m := &Map{Network: h.Network, Sequence: h.Sequence, ValidAfter: h.ValidAfter, ValidUntil: h.ValidUntil}
	if err := m.decode(body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMap, err)
	}
	return m, nil
}

func (m *Map) decode(body []byte) error {
	w := new(bodyWire)
	if err := canonical.Read(body, w, maxBodyItems); err != nil {
		return err
	}
	if err := m.take(w); err != nil {
		return err
	}
	// What was read has one form only: the one that its values make.
	again, err := canonical.Encode(m.body(m.shards))
	if err != nil {
		return err
	}
	if !bytes.Equal(again, body) {
		return canonical.ErrForm
	}
	return nil
}

func (m *Map) take(w *bodyWire) error {
	nodes := len(w.IDs) / len(NodeID{})
	if err := w.check(nodes); err != nil {
		return err
	}
	m.Nodes = make([]Node, nodes)
	descriptors := make([]Descriptor, nodes) // all at once, as they live as long
	exits, err := w.exits()
	if err != nil {
		return err
	}
	rates := rateScale()
	for i := range m.Nodes {
		d := &descriptors[i]
		m.Nodes[i] = Node{Descriptor: d, Flags: Flags(w.Flags[i]) & knownFlags, Measured: rates[w.Measured[i]]}
		w.describe(i, d)
		d.Exit = exits[w.Exits.Of[i]]
		if err := w.places(i, d); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(m.Nodes[i-1].ID[:], d.ID[:]) >= 0 {
			return fmt.Errorf("node %s is in it twice, or not in order", d.ID.Short())
		}
		if err := d.validate(); err != nil {
			return err
		}
	}
	pairs, err := m.unpackLinks(&w.Links)
	if err != nil {
		return err
	}
	m.edges = newEdges(nodes, pairs)
	m.shards = make([][sha256.Size]byte, 0, shardsOf(nodes))
	for hash := range slices.Chunk(w.Keys, sha256.Size) {
		m.shards = append(m.shards, [sha256.Size]byte(hash))
	}
	for _, s := range w.Notices {
		if err := checkText("appeal", s.Appeal, 0, maxAppeal); err != nil {
			return err
		}
		m.Notices = append(m.Notices, Notice{Signed: s.Signed, Appeal: s.Appeal})
	}
	m.Policy = w.Policy
	return nil
}

// check makes sure that every list has one entry for each node.
func (w *bodyWire) check(nodes int) error {
	if nodes > maxNodes || len(w.Notices) > maxNotices || len(w.Policy) > maxPolicy {
		return fmt.Errorf("%d nodes, %d statements and a policy of %d bytes are too many", nodes, len(w.Notices), len(w.Policy))
	}
	if len(w.IDs) != nodes*len(NodeID{}) || len(w.Keys) != shardsOf(nodes)*sha256.Size {
		return errLists
	}
	for _, n := range []int{len(w.Names), len(w.Addresses), len(w.Entrances), len(w.ASNs), len(w.Flags), len(w.Loads), len(w.Measured)} {
		if n != nodes {
			return errLists
		}
	}
	for i := 1; i < len(w.Notices); i++ {
		if bytes.Equal(w.Notices[i-1].Signed, w.Notices[i].Signed) {
			return errors.New("it has a statement twice")
		}
	}
	return errors.Join(w.Owners.check(nodes), w.Groups.check(nodes), w.Countries.check(nodes), w.Exits.check(nodes),
		w.Versions.check(nodes), w.Contacts.check(nodes), w.Mixing.check(nodes))
}

// exits reads the exit policies.
func (w *bodyWire) exits() ([]ExitPolicy, error) {
	policies := make([]ExitPolicy, len(w.Exits.Values))
	for i, rules := range w.Exits.Values {
		p, err := ParseExitPolicy(rules)
		if err != nil {
			return nil, err
		}
		policies[i] = p
	}
	return policies, nil
}

// describe fills in what is text or a number.
func (w *bodyWire) describe(i int, d *Descriptor) {
	d.ID = NodeID(w.IDs[i*len(d.ID):])
	d.Name = w.Names[i]
	d.Owner, d.Group, d.Country = w.Owners.of(i).Name, w.Groups.of(i), w.Countries.of(i)
	copy(d.OwnerKey[:], w.Owners.of(i).Key)
	d.ASN, d.Version, d.Contact = w.ASNs[i], w.Versions.of(i), w.Contacts.of(i)
	mixing := w.Mixing.of(i)
	d.MaxDelay, d.MaxPadding = time.Duration(mixing[0])*time.Millisecond, int(mixing[1])
	d.Closed, d.Load = w.Flags[i]&flagClosed != 0, 10*int(w.Loads[i])
}

// places fills in where the node takes links.
func (w *bodyWire) places(i int, d *Descriptor) error {
	d.Addresses = make([]netip.AddrPort, len(w.Addresses[i]))
	for k, b := range w.Addresses[i] {
		if err := d.Addresses[k].UnmarshalBinary(b); err != nil {
			return err
		}
	}
	if len(w.Entrances[i]) > 0 {
		d.Entrances = make([]Entrance, len(w.Entrances[i]))
	}
	for k, e := range w.Entrances[i] {
		d.Entrances[k] = Entrance{Wrapping: e.Wrapping, Host: e.Host}
		if err := d.Entrances[k].Addr.UnmarshalBinary(e.Addr); err != nil {
			return err
		}
	}
	return nil
}
