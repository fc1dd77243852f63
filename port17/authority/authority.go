package authority

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
)

// Defaults of a Config.
const (
	DefaultPeriod   = netmap.DefaultPeriod
	DefaultValidity = netmap.DefaultValidity
)

const (
	settle    = 100 * time.Millisecond // changes within it go into one map
	maxSkew   = 10 * time.Minute       // between a node's clock and ours
	keepFor   = 3                      // periods after which a silent node is dropped
	maxNodes  = 10000
	maxBytes  = netmap.MaxMap - 1<<20 // of all descriptors, with room for what a map adds
	backdated = time.Minute           // maps are valid from so long ago, for slow clocks
)

// Config says what an authority signs.
type Config struct {
	Network  string             // the network's name
	Key      ed25519.PrivateKey // as GenerateKey returns it
	State    string             // folder of the database
	Period   time.Duration      // between two descriptors of a node; DefaultPeriod if 0
	Validity time.Duration      // of a map; DefaultValidity if 0
	// PrivateAddresses takes nodes at addresses that are not public, which the
	// network's file has to allow as well.
	PrivateAddresses bool
	Log              *slog.Logger // nil discards
}

// An Authority gathers descriptors and signs maps.
type Authority struct {
	config Config
	signer note.Signer
	store  *store

	// adding is held while a descriptor is judged and kept, so that of two at
	// once both count. It is taken before mu.
	adding sync.Mutex
	room   int // bytes that the descriptors may have together

	mu      sync.Mutex
	nodes   map[netmap.NodeID]entry
	size    int // bytes of the descriptors
	current signedMap
	changed chan struct{} // closed when current is replaced
	dirty   chan struct{} // a token when a new map is due

	stop    context.CancelFunc
	running sync.WaitGroup
}

type entry struct {
	descriptor *netmap.Descriptor
	signed     []byte
	received   time.Time
	keys       *netmap.Keys // nil before they came
}

// bytes is how many the entry needs.
func (e entry) bytes() int {
	if e.keys == nil {
		return len(e.signed)
	}
	return len(e.signed) + len(e.keys.Signed())
}

// usable says whether hellos for the node can be made now.
func (e entry) usable(now time.Time) bool {
	if e.keys == nil || e.keys.Binding != e.descriptor.Binding() {
		return false
	}
	_, err := e.keys.Prekey(now)
	return err == nil
}

type signedMap struct {
	sequence uint64
	bytes    []byte
}

// New loads the state and begins to sign maps. Close ends it.
func New(ctx context.Context, c Config) (*Authority, error) {
	if c.Period <= 0 {
		c.Period = DefaultPeriod
	}
	if c.Validity <= 0 {
		c.Validity = DefaultValidity
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	signer, err := newSigner(c.Network, c.Key)
	if err != nil {
		return nil, err
	}
	s, err := openStore(ctx, filepath.Join(c.State, "authority.db"))
	if err != nil {
		return nil, err
	}
	a := &Authority{
		config: c, signer: signer, store: s, room: maxBytes,
		changed: make(chan struct{}), dirty: make(chan struct{}, 1),
	}
	if a.nodes, a.current.sequence, err = s.load(ctx); err == nil {
		for _, e := range a.nodes {
			a.size += e.bytes()
		}
		err = a.publish(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	ctx, a.stop = context.WithCancel(ctx)
	a.running.Go(func() { a.run(ctx) })
	return a, nil
}

// Close ends the authority and waits for it.
func (a *Authority) Close() error {
	a.stop()
	a.running.Wait()
	return a.store.close()
}

// Add takes a signed descriptor. The error is for the node's operator.
func (a *Authority) Add(ctx context.Context, signed []byte) error {
	d, err := netmap.OpenDescriptor(signed)
	if err != nil {
		return err
	}
	if !a.config.PrivateAddresses {
		if err := d.CheckPublic(); err != nil {
			return err
		}
	}
	now := time.Now()
	if off := now.Sub(d.Published); off > maxSkew || off < -maxSkew {
		return clockError("descriptor was", d.Published, now)
	}
	a.adding.Lock()
	defer a.adding.Unlock()
	a.mu.Lock()
	old, known := a.nodes[d.ID]
	full := !known && len(a.nodes) >= maxNodes
	grows := len(signed) - len(old.signed)
	large := grows > 0 && a.size+grows > a.room
	a.mu.Unlock()
	switch {
	case full:
		return fmt.Errorf("the network has %d nodes and takes no more", maxNodes)
	case large:
		return fmt.Errorf("the map has no room for the descriptor's %d bytes", len(signed))
	case known && d.Published.Before(old.descriptor.Published):
		return errors.New("a newer descriptor of the node is known")
	}
	e := entry{descriptor: d, signed: bytes.Clone(signed), received: now, keys: old.keys}
	if err := a.store.put(ctx, d.ID, e); err != nil {
		return err
	}
	a.mu.Lock()
	a.nodes[d.ID] = e
	a.size += grows
	a.mu.Unlock()
	if !known || !bytes.Equal(old.signed, signed) {
		a.touch()
	}
	return nil
}

// AddKeys takes signed keys of a node whose descriptor is known. The error is for
// the node's operator.
func (a *Authority) AddKeys(ctx context.Context, signed []byte) error {
	k, err := netmap.OpenKeys(bytes.Clone(signed))
	if err != nil {
		return err
	}
	now := time.Now()
	if _, err := k.Prekey(now); err != nil {
		return err
	}
	// How old they are does not matter while they can be used.
	if k.Published.After(now.Add(maxSkew)) {
		return clockError("keys were", k.Published, now)
	}
	a.adding.Lock()
	defer a.adding.Unlock()
	a.mu.Lock()
	e, known := a.nodes[k.ID]
	old := e.keys
	was := e.bytes()
	e.keys = k
	grows := e.bytes() - was
	large := grows > 0 && a.size+grows > a.room
	a.mu.Unlock()
	switch {
	case !known:
		return errors.New("there is no descriptor of the node: publish that first")
	case old != nil && bytes.Equal(old.Signed(), k.Signed()):
		return nil
	case old != nil && k.Published.Before(old.Published):
		return errors.New("newer keys of the node are known")
	case large:
		return fmt.Errorf("the map has no room for the keys' %d bytes", len(signed))
	}
	if err := a.store.put(ctx, k.ID, e); err != nil {
		return err
	}
	a.mu.Lock()
	a.nodes[k.ID] = e
	a.size += grows
	a.mu.Unlock()
	a.touch()
	return nil
}

func clockError(what string, published, now time.Time) error {
	return fmt.Errorf("%s published at %s and now is %s: check the node's clock",
		what, published.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

func (a *Authority) touch() {
	select {
	case a.dirty <- struct{}{}:
	default:
	}
}

// run signs maps when something has changed, and in time before the last one
// runs out.
func (a *Authority) run(ctx context.Context) {
	renew := time.NewTicker(a.config.Validity / 3)
	defer renew.Stop()
	silent := time.NewTicker(a.config.Period)
	defer silent.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-silent.C:
			if !a.dropSilent(ctx) {
				continue
			}
		case <-renew.C:
		case <-a.dirty:
			select { // what else changes now goes into the same map
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
		}
		if err := a.publish(ctx); err != nil {
			a.config.Log.Error("sign map", "error", err)
		}
	}
}

// dropSilent forgets the nodes that were not heard of, and says whether there
// were any.
func (a *Authority) dropSilent(ctx context.Context) bool {
	a.adding.Lock()
	defer a.adding.Unlock()
	limit := time.Now().Add(-keepFor * a.config.Period)
	var gone []netmap.NodeID
	a.mu.Lock()
	for id, e := range a.nodes {
		if e.received.Before(limit) {
			delete(a.nodes, id)
			a.size -= e.bytes()
			gone = append(gone, id)
		}
	}
	a.mu.Unlock()
	for _, id := range gone {
		if err := a.store.remove(ctx, id); err != nil {
			a.config.Log.Error("forget node", "error", err)
		}
	}
	return len(gone) > 0
}

// publish signs a map of what is known and wakes those who wait for it.
func (a *Authority) publish(ctx context.Context) error {
	a.mu.Lock()
	now := time.Now().UTC()
	var nodes []netmap.Node
	for _, e := range a.nodes {
		if !e.descriptor.Closed && e.usable(now) { // it is kept, so that no older one brings the node back
			nodes = append(nodes, netmap.Node{Descriptor: e.descriptor, Keys: e.keys})
		}
	}
	sequence := a.current.sequence + 1
	a.mu.Unlock()
	now = now.Truncate(time.Second)
	m, err := netmap.New(a.config.Network, sequence, now.Add(-backdated), now.Add(a.config.Validity), nodes)
	if err != nil {
		return err
	}
	// The leaf is on disk before the map is out, so no number is used twice.
	signed, err := a.store.append(ctx, m, a.signer)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = signedMap{sequence: sequence, bytes: signed}
	close(a.changed)
	a.changed = make(chan struct{})
	return nil
}

// wait returns the map once its sequence is above after, or the one there is
// when the context ends.
func (a *Authority) wait(ctx context.Context, after uint64) signedMap {
	for {
		a.mu.Lock()
		current, changed := a.current, a.changed
		a.mu.Unlock()
		if current.sequence > after {
			return current
		}
		select {
		case <-ctx.Done():
			return current
		case <-changed:
		}
	}
}
