package netmap

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"safing/internal/canonical"
)

// MaxDescriptor is the greatest length of a signed descriptor, in bytes.
const MaxDescriptor = 64 << 10

// ErrDescriptor means that a descriptor is malformed or not signed by its node.
var ErrDescriptor = errors.New("descriptor is invalid")

// A Descriptor is what a node says about itself. docs/spec/netmap.md#descriptor
// has the bounds of every field.
type Descriptor struct {
	ID        NodeID
	Name      string           // for people; not unique
	Addresses []netip.AddrPort // where it takes links in plain TCP
	Entrances []Entrance       // where it takes them in other wrappings
	Owner     string           // who runs it
	Group     string           // which of the owner's nodes fail or fall together
	Country   string           // ISO 3166-1 alpha-2, upper case; may be empty
	ASN       uint32           // of its network; 0 if unknown
	Exit      ExitPolicy
	// OwnerKey is the Ed25519 key of who runs it, and OwnerProof what
	// [SignOwner] returned: so nobody else's node can be of that owner. Both or
	// neither are zero. A node that is read from a map has no proof.
	OwnerKey   [ed25519.PublicKeySize]byte
	OwnerProof [ed25519.SignatureSize]byte
	Links      []Link // that it has; on maps see [Map.Edges]
	Capacity   uint64 // bytes a second; 0 if unknown
	Load       int    // percent of the capacity that is in use, in steps of 10
	Version    string
	Contact    string
	Appeal     string    // its operator's answer to what moderators say of it
	Closed     bool      // takes no new circuits: it stops, or has used up its volume
	Published  time.Time // to the second
	// MaxDelay is the greatest mean of delays with which the node mixes, to the
	// millisecond; 0 if it does not.
	MaxDelay time.Duration
	// MaxPadding is with how many cells a second it pads a circuit at most; 0 if
	// it does not.
	MaxPadding int
}

// descriptorPrefix separates these signatures from others of the same key.
const descriptorPrefix = "port17 descriptor v2\x00"

// Sign returns the descriptor's wire form: signature ‖ canonical CBOR. The key
// must be that of ID.
func (d *Descriptor) Sign(key ed25519.PrivateKey) ([]byte, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if id := NodeID(key.Public().(ed25519.PublicKey)); id != d.ID {
		return nil, fmt.Errorf("%w: it is of node %s and the key is of %s", ErrDescriptor, d.ID.Short(), id.Short())
	}
	body, err := canonical.Encode(d.wire())
	if err != nil {
		return nil, fmt.Errorf("encode descriptor: %w", err)
	}
	if len(body)+ed25519.SignatureSize > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrDescriptor, len(body), MaxDescriptor)
	}
	return append(ed25519.Sign(key, append([]byte(descriptorPrefix), body...)), body...), nil
}

// OpenDescriptor reads what Sign returned and verifies it. The error wraps
// [ErrDescriptor].
func OpenDescriptor(signed []byte) (*Descriptor, error) {
	if len(signed) < ed25519.SignatureSize || len(signed) > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes", ErrDescriptor, len(signed))
	}
	signature, body := signed[:ed25519.SignatureSize], signed[ed25519.SignatureSize:]
	var w descriptorWire
	if err := canonical.Decode(body, &w, maxItems); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	if !ed25519.Verify(w.ID[:], append([]byte(descriptorPrefix), body...), signature) {
		return nil, fmt.Errorf("%w: its signature is not that of node %s", ErrDescriptor, w.ID.Short())
	}
	d, err := w.descriptor()
	if err != nil {
		return nil, err
	}
	if again, err := canonical.Encode(d.wire()); err != nil || !bytes.Equal(again, body) {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, canonical.ErrForm)
	}
	return d, d.Validate()
}

// Binding hashes what of the descriptor stays the same while the node runs: all
// but links, capacity, load, appeal, whether it is closed, time, and the proof of
// its owner's key. Hellos are bound to it, so that two who believe different
// things about a node cannot talk.
func (d *Descriptor) Binding() [32]byte {
	w := d.wire()
	w.Links, w.Capacity, w.Load, w.Appeal, w.Closed, w.Published, w.OwnerProof = nil, 0, 0, "", false, 0, nil
	body, err := canonical.Encode(w)
	if err != nil {
		panic("netmap: encode identity part: " + err.Error()) // plain values always encode
	}
	return sha256.Sum256(append([]byte("port17 binding v2\x00"), body...))
}

// Allows says whether the node connects to the address and port for others.
func (d *Descriptor) Allows(to netip.AddrPort) bool {
	return d.Exit.Allows(to, d.IPs()...)
}

// descriptorWire is a descriptor as it is written down.
type descriptorWire struct {
	ID        NodeID         `cbor:"1,keyasint"`
	Name      string         `cbor:"2,keyasint"`
	Addresses [][]byte       `cbor:"3,keyasint"`
	Owner     string         `cbor:"4,keyasint"`
	Group     string         `cbor:"5,keyasint"`
	Country   string         `cbor:"6,keyasint"`
	ASN       uint32         `cbor:"7,keyasint"`
	Exit      []string       `cbor:"8,keyasint"`
	Links     []linkWire     `cbor:"10,keyasint"`
	Capacity  uint64         `cbor:"11,keyasint"`
	Version   string         `cbor:"12,keyasint"`
	Contact   string         `cbor:"13,keyasint"`
	Published int64          `cbor:"14,keyasint"`
	Entrances []entranceWire `cbor:"15,keyasint,omitempty"`
	Closed    bool           `cbor:"16,keyasint,omitempty"`

	MaxDelay   uint16 `cbor:"17,keyasint,omitempty"` // milliseconds
	MaxPadding uint16 `cbor:"18,keyasint,omitempty"`

	OwnerKey   []byte `cbor:"19,keyasint,omitempty"`
	OwnerProof []byte `cbor:"20,keyasint,omitempty"`
	Appeal     string `cbor:"21,keyasint,omitempty"`
	Load       uint8  `cbor:"22,keyasint,omitempty"` // percent
}

type entranceWire struct {
	Wrapping Wrapping `cbor:"1,keyasint"`
	Addr     []byte   `cbor:"2,keyasint"`
	Host     string   `cbor:"3,keyasint,omitempty"`
}

type linkWire struct {
	To  NodeID `cbor:"1,keyasint"`
	RTT uint32 `cbor:"2,keyasint"` // microseconds

	ASNs      []uint32 `cbor:"3,keyasint,omitempty"`
	Countries []string `cbor:"4,keyasint,omitempty"`
	Traced    bool     `cbor:"5,keyasint,omitempty"`
}

func (d *Descriptor) wire() descriptorWire {
	w := descriptorWire{
		ID: d.ID, Name: d.Name, Owner: d.Owner, Group: d.Group, Country: d.Country, ASN: d.ASN,
		Exit: d.Exit.Rules(), Capacity: d.Capacity, Load: uint8(d.Load), Appeal: d.Appeal,
		OwnerKey: bytesOrNone(d.OwnerKey[:]), OwnerProof: bytesOrNone(d.OwnerProof[:]),
		Version: d.Version, Contact: d.Contact, Closed: d.Closed, Published: d.Published.Unix(),
		MaxDelay: uint16(d.MaxDelay.Milliseconds()), MaxPadding: uint16(d.MaxPadding),
	}
	for _, a := range d.Addresses {
		b, _ := a.MarshalBinary() // never fails
		w.Addresses = append(w.Addresses, b)
	}
	for _, e := range d.Entrances {
		b, _ := e.Addr.MarshalBinary() // never fails
		w.Entrances = append(w.Entrances, entranceWire{Wrapping: e.Wrapping, Addr: b, Host: e.Host})
	}
	for _, l := range d.Links {
		w.Links = append(w.Links, linkWire{
			To: l.To, RTT: uint32(min(l.RTT.Microseconds(), 1<<32-1)),
			ASNs: l.Crossed.ASNs, Countries: l.Crossed.Countries, Traced: l.Crossed.Traced,
		})
	}
	return w
}

func (w *descriptorWire) descriptor() (*Descriptor, error) {
	policy, err := ParseExitPolicy(w.Exit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	if !slices.Equal(policy.Rules(), w.Exit) {
		return nil, fmt.Errorf("%w: its exit policy is not in the form of rules", ErrDescriptor)
	}
	d := &Descriptor{
		ID: w.ID, Name: w.Name, Owner: w.Owner, Group: w.Group, Country: w.Country, ASN: w.ASN,
		Exit: policy, Capacity: w.Capacity, Load: int(w.Load), Appeal: w.Appeal,
		Version: w.Version, Contact: w.Contact, Closed: w.Closed, Published: time.Unix(w.Published, 0).UTC(),
		MaxDelay: time.Duration(w.MaxDelay) * time.Millisecond, MaxPadding: int(w.MaxPadding),
	}
	if err := fill(d.OwnerKey[:], w.OwnerKey); err != nil {
		return nil, err
	}
	if err := fill(d.OwnerProof[:], w.OwnerProof); err != nil {
		return nil, err
	}
	for _, b := range w.Addresses {
		var a netip.AddrPort
		if err := a.UnmarshalBinary(b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
		}
		d.Addresses = append(d.Addresses, a)
	}
	for _, e := range w.Entrances {
		var a netip.AddrPort
		if err := a.UnmarshalBinary(e.Addr); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
		}
		d.Entrances = append(d.Entrances, Entrance{Wrapping: e.Wrapping, Addr: a, Host: e.Host})
	}
	for _, l := range w.Links {
		d.Links = append(d.Links, Link{
			To: l.To, RTT: time.Duration(l.RTT) * time.Microsecond,
			Crossed: Crossed{ASNs: l.ASNs, Countries: l.Countries, Traced: l.Traced},
		})
	}
	return d, nil
}

// bytesOrNone returns nil if all bytes are zero: what is absent is left out.
func bytesOrNone(b []byte) []byte {
	for _, v := range b {
		if v != 0 {
			return b
		}
	}
	return nil
}

// fill copies what was read to where it belongs.
func fill(to, from []byte) error {
	if len(from) == 0 {
		return nil
	}
	if len(from) != len(to) || bytesOrNone(from) == nil {
		return fmt.Errorf("%w: a key or proof of it has not %d bytes, or they are zero", ErrDescriptor, len(to))
	}
	copy(to, from)
	return nil
}
