package authority

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/witness"
)

const (
	settle     = 100 * time.Millisecond // changes within it go into one map
	maxSkew    = 10 * time.Minute       // between a node's clock and ours
	keepFor    = 3                      // periods after which a silent node is dropped
	maxNodes   = 10000
	retryAfter = 5 * time.Second // without witnesses
	backdated  = time.Minute     // maps are valid from so long ago, for slow clocks
)

// Config says for which network an authority works.
type Config struct {
	Network *netmap.Network    // which names the authority among others
	Key     ed25519.PrivateKey // as GenerateKey returns it
	State   string             // folder of the database, and of a policy
	Limits  Limits
	// Scanner tests nodes before they are on a map; nil takes all for reachable.
	Scanner Scanner
	// Transport carries requests to the other authorities; nil is the usual one.
	Transport http.RoundTripper
	// Witnesses asks those of the network; nil makes a client that does.
	Witnesses Witnesses
	Log       *slog.Logger // nil discards
}

// An Authority gathers what nodes publish and makes maps with the others of its
// network.
type Authority struct {
	network  *netmap.Network
	quorum   *quorum
	signer   note.Signer
	schedule schedule
	period   time.Duration
	validity time.Duration
	log      *slog.Logger
	started  time.Time

	witnesses  Witnesses
	store      *store
	nodes      *registry
	statements *statements
	scanner    Scanner // nil if nodes are not tested
	// policyFile may hold a policy of suites (safing/tinker/policy), which is on
	// the map if enough of the authorities have signed it.
	policyFile string
	limits     *limits
	mirror     *directory.Mirror
	peers      []*peer
	forwards   []*forwarder

	// appending is held while the log grows. It is taken before mu.
	appending sync.Mutex

	mu       sync.Mutex
	election *election  // of the current period; nil before the first
	pending  *candidate // what is to come next; nil if there is none
	current  signedMap

	dirty      chan struct{} // a token when something has changed
	progressed chan struct{} // a token when there are more signatures

	stop    context.CancelFunc
	running sync.WaitGroup
}

// Witnesses return a checkpoint with their cosignatures, as witness.Client does.
type Witnesses interface {
	Cosign(ctx context.Context, signed []byte, prove witness.Prover) ([]byte, error)
	// Known returns the newest checkpoints that they have cosigned.
	Known(ctx context.Context) [][]byte
}

// A Scanner tests nodes, as probe.Scanner does.
type Scanner interface {
	// Run tests the nodes that are returned, until the context ends, and calls
	// changed when there is a new opinion that should not wait.
	Run(ctx context.Context, nodes func() ([]netmap.Node, *netmap.Map), changed func())
	// Opinion returns a node's capacity in bytes a second; 0 if it is not known.
	Opinion(id netmap.NodeID) (reachable, badExit bool, capacity uint64)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 8}
	}
	if c.Witnesses == nil {
		c.Witnesses = witness.NewClient(witness.ClientConfig{Network: c.Network, Log: c.Log})
	}
	return c
}

// New loads the state and begins to work. Close ends it. An authority that is
// alone has made a map when New returns, unless it waits for witnesses.
func New(ctx context.Context, c Config) (*Authority, error) {
	c = c.withDefaults()
	q, err := newQuorum(c.Network)
	if err != nil {
		return nil, err
	}
	s, err := NewSigner(c.Network.Name, c.Key)
	if err != nil {
		return nil, err
	}
	if _, ok := q.verifiers[s.KeyHash()]; !ok {
		return nil, fmt.Errorf("the network %s does not name this authority, whose key is %s: add it to the network's file", c.Network.Name, s.(signer).text)
	}
	period, validity := c.Network.Times()
	if len(q.verifiers) > 1 && period%time.Second != 0 {
		return nil, fmt.Errorf("the network's period is %s: with several authorities it has to be whole seconds", period)
	}
	a := &Authority{
		network: c.Network, quorum: q, signer: s, schedule: newSchedule(period, q.rounds()), period: period, validity: validity,
		witnesses: c.Witnesses, scanner: c.Scanner, log: c.Log, started: time.Now(), nodes: newRegistry(maxNodes, mapRoom()),
		statements: newStatements(c.Network), policyFile: filepath.Join(c.State, PolicyFile),
		limits: newLimits(c.Limits, period), mirror: directory.NewMirror(directory.MirrorConfig{}),
		peers: newPeers(q, s.KeyHash(), c.Transport), dirty: make(chan struct{}, 1), progressed: make(chan struct{}, 1),
	}
	for _, p := range a.peers {
		a.forwards = append(a.forwards, newForwarder(p, q.network, s, c.Log))
	}
	if a.store, err = openStore(ctx, filepath.Join(c.State, "authority.db"), q.network); err != nil {
		return nil, err
	}
	if err := a.begin(ctx); err != nil {
		return nil, errors.Join(err, a.store.close())
	}
	return a, nil
}

// begin loads what the store has and starts to work.
func (a *Authority) begin(ctx context.Context) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	if a.alone() {
		err := a.renew(ctx)
		if err != nil && !errors.Is(err, netmap.ErrWitness) {
			return err
		}
		if err != nil {
			a.log.Warn("the first map waits for witnesses", "error", err)
		}
	}
	ctx, a.stop = context.WithCancel(ctx)
	for _, f := range a.forwards {
		a.running.Go(func() { f.run(ctx) })
	}
	if a.scanner != nil {
		a.running.Go(func() { a.scanner.Run(ctx, a.scanned, a.touch) })
	}
	if a.alone() {
		a.running.Go(func() { a.runAlone(ctx) })
	} else {
		a.running.Go(func() { a.runPeriods(ctx) })
		for _, p := range a.peers {
			a.running.Go(func() { a.follow(ctx, p) })
		}
	}
	return nil
}

// alone says whether there are no other authorities.
func (a *Authority) alone() bool { return len(a.peers) == 0 }

// load reads what was known when the authority ended.
func (a *Authority) load(ctx context.Context) error {
	var forgotten []digest
	err := a.store.objects(ctx, func(p parcel, received time.Time) {
		gone, err := a.remember(p, received)
		if err != nil {
			gone = append(gone, p.hash()) // by an older program, or of an authority that is no more
		}
		forgotten = append(forgotten, gone...)
	})
	if err != nil {
		return err
	}
	if err := a.store.forgetObjects(ctx, forgotten); err != nil {
		return err
	}
	if a.pending, err = a.store.candidate(ctx); err != nil {
		return err
	}
	signed, members, err := a.store.newestMap(ctx)
	if err != nil || signed == nil {
		return err
	}
	a.nodes.setListed(members)
	a.current = signedMap{bytes: signed}
	h, err := a.current.head()
	if err != nil {
		return err
	}
	a.current.sequence = uint64(h.Index)
	if a.current.m, err = a.verifyLeaf(signed); err != nil {
		a.log.Info("the newest map on disk can't be used", "error", err)
		return nil
	}
	shards, err := a.store.shards(ctx)
	if err != nil {
		return err
	}
	a.current.shards = inOrder(a.current.m, shards)
	a.mirror.Add(a.current.sequence, signed, a.current.m.Shards(), shards...)
	return nil
}

// remember takes an object from disk, and returns which it replaces.
func (a *Authority) remember(p parcel, received time.Time) (forgotten []digest, err error) {
	if p.Kind == kindStatement {
		s, err := a.network.OpenStatement(p.Signed)
		if err != nil {
			return nil, err
		}
		forgotten, _, err = a.statements.put(s)
		return forgotten, err
	}
	o, err := openObject(p, received)
	if err != nil {
		return nil, err
	}
	forgotten, _, err = a.nodes.put(o)
	return forgotten, err
}

// Close ends the authority and waits for it.
func (a *Authority) Close() error {
	a.stop()
	a.running.Wait()
	for _, p := range a.peers {
		p.http.CloseIdleConnections()
	}
	if c, ok := a.witnesses.(*witness.Client); ok {
		c.Close()
	}
	return a.store.close()
}

// scanned returns the nodes to be tested, and the map that is out; nil if it has
// expired.
func (a *Authority) scanned() ([]netmap.Node, *netmap.Map) {
	a.mu.Lock()
	m := a.current.m
	a.mu.Unlock()
	now := time.Now()
	if m != nil && !now.Before(m.ValidUntil) {
		m = nil
	}
	return a.nodes.usable(now), m
}

// touch says that something has changed.
func (a *Authority) touch() {
	select {
	case a.dirty <- struct{}{}:
	default:
	}
}

// runAlone makes maps when something has changed, and in time before the last
// one runs out.
func (a *Authority) runAlone(ctx context.Context) {
	renew := time.NewTicker(a.validity / 3)
	defer renew.Stop()
	silent := time.NewTicker(a.period)
	defer silent.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-silent.C:
			if gone := a.dropSilent(ctx); !gone && !a.hasNewerPolicy() {
				continue
			}
		case <-renew.C:
		case <-a.retry():
		case <-a.dirty:
			wait(ctx, settle) // what else changes now goes into the same map
		}
		if ctx.Err() != nil {
			return
		}
		if err := a.renew(ctx); err != nil {
			a.log.Error("a map could not be made", "error", err)
		}
	}
}

// retry returns when a map that waits for witnesses is to be tried again; nil if
// there is none.
func (a *Authority) retry() <-chan time.Time {
	if a.pendingNow() == nil {
		return nil
	}
	return time.After(retryAfter)
}

// dropSilent forgets the nodes that were not heard of, and says whether there
// were any. After a start all have the time to publish again.
func (a *Authority) dropSilent(ctx context.Context) bool {
	if time.Since(a.started) < a.period {
		return false
	}
	gone := a.nodes.dropSilent(time.Now().Add(-keepFor * a.period))
	if len(gone) == 0 {
		return false
	}
	if err := a.store.forgetObjects(ctx, gone); err != nil {
		a.log.Error("silent nodes could not be forgotten", "error", err)
	}
	return true
}
