package node

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"safing/internal/geo"
	"safing/internal/traceroute"
	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/directory"
	"safing/port17/link"
	"safing/port17/mesh"
	"safing/tinker"
	"safing/tinker/policy"
)

// Version is the protocol's, as descriptors name it.
const Version = "port17/1"

const (
	defaultMaxLinks   = mesh.DefaultLinks
	defaultParallel   = 2
	defaultMaxDelay   = time.Second
	defaultMaxPadding = 100
)

// DefaultMaxClients is how many links from others a node takes unless Config
// says otherwise.
const DefaultMaxClients = 4096

// Config says who a node is and what it does.
type Config struct {
	Identity ed25519.PrivateKey
	Network  *netmap.Network
	// Listen are the addresses on which links are taken, such as
	// "192.0.2.1:1717". They are published.
	Listen []string
	// ListenQUIC and ListenTLS are those on which clients may link in QUIC, and
	// in TLS with WebSocket.
	ListenQUIC, ListenTLS []string
	// TLSCert and TLSKey are the files of a certificate for TLS, which are read
	// again when they change; without them the node makes one. TLSHost is the
	// name that it is for: then clients check it.
	TLSCert, TLSKey, TLSHost string
	// What the descriptor says of the node.
	Name, Owner, Group, Country, Contact string
	ASN                                  uint32
	// OwnerKey and OwnerProof are the owner's, both or neither: see
	// [netmap.SignOwner].
	OwnerKey   netmap.OwnerKey
	OwnerProof netmap.OwnerProof
	// Appeal is the operator's answer to what authorities say of the node;
	// [Node.SetAppeal] changes it.
	Appeal string
	// Geo tells Country and ASN where they are not set. Nil knows nothing.
	Geo        *geo.DB
	Exit       netmap.ExitPolicy
	ExitLimits ExitLimits
	// State is the folder in which the map is kept.
	State string
	// MaxLinks is how many nodes it keeps links to; 0 means 16.
	MaxLinks int
	// Parallel is how many links it keeps to each of them, 8 at most; 0 means
	// 2. Circuits are spread over them, and end with theirs alone.
	Parallel int
	// MaxClients is how many links it takes from others; 0 means 4096.
	MaxClients int
	// MaxDelay is the greatest mean of the delays with which it mixes circuits
	// that ask for it, in milliseconds up to 10 s. 0 means 1 s; less, none.
	MaxDelay time.Duration
	// MaxPadding is with how many cells a second, up to 1000, it pads a circuit
	// that asks for it; it pads 64 of them at that rate. 0 means 100; less, none.
	MaxPadding int
	// Rate is how many bytes a second all links together send, and as many they
	// receive; 0 does not limit them, and otherwise it is at least MinRate. Burst
	// is how many may come at once; if less, as many as in a second.
	Rate, Burst uint64
	// MonthlyVolume is how many bytes the node moves in a month (UTC), sent and
	// received together; then it takes no circuits. 0 does not limit it.
	MonthlyVolume uint64
	// Period is the time between two descriptors; 0 means the network's
	// default.
	Period time.Duration
	// Explore is the time between looks for nodes that are nearer than the
	// neighbours; 0 means 2 minutes.
	Explore time.Duration
	// NoTrace keeps it from tracing the paths to its neighbours, which it does
	// once a day if Geo knows what they cross.
	NoTrace bool
	// Log gets what an operator wants to know; nil discards.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxLinks <= 0 {
		c.MaxLinks = defaultMaxLinks
	}
	if c.Parallel <= 0 {
		c.Parallel = defaultParallel
	}
	c.Parallel = min(c.Parallel, maxParallel)
	if c.MaxClients <= 0 {
		c.MaxClients = DefaultMaxClients
	}
	if c.MaxDelay == 0 {
		c.MaxDelay = defaultMaxDelay
	}
	if c.MaxPadding == 0 {
		c.MaxPadding = defaultMaxPadding
	}
	if c.Period <= 0 {
		c.Period = netmap.DefaultPeriod
		if c.Network != nil {
			c.Period, _ = c.Network.Times()
		}
	}
	if c.Explore <= 0 {
		c.Explore = defaultExplore
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Node is a running node.
type Node struct {
	config    Config
	id        netmap.NodeID
	policies  *policy.Policies // of suites
	keys      *prekeys
	suites    []tinker.SuiteID // of which prekeys are published; follow owns it
	binding   [32]byte         // of the descriptor
	directory *directory.Client
	mirror    *directory.Mirror
	pool      cell.Pool
	listeners []listener
	exit      *exit
	circuits  circuits
	ended     ended
	pace      pace
	answered  atomic.Uint64 // handshakes
	spent     atomic.Uint64 // bytes of the month's volume
	mixer     mixer
	padding   quota // cells a second, by link

	closing    atomic.Bool
	refusing   atomic.Uint32 // the cell.Reason to refuse circuits with, or 0
	handshakes *handshakes
	maxCells   int64
	tight      chan struct{} // a token when the memory for cells runs out
	clients    *slots
	asking     chan struct{} // held by Alive until it has an answer
	stop       context.CancelFunc
	running    sync.WaitGroup

	publishing chan struct{} // full while a descriptor is signed and sent
	thinking   chan struct{} // a token when neighbours may have to be chosen again
	trace      tracer

	mu         sync.Mutex
	descriptor *netmap.Descriptor // the last that was signed
	public     *netmap.Keys       // the last that were signed; nil before
	brief      []byte             // of them, what fits into a refusal
	appeal     string             // for the next descriptor
	publishErr error              // of the last attempt
	m          *netmap.Map
	neighbours map[netmap.NodeID][]*link.Link    // that have proved who they are, the newest last; never empty
	wanted     map[netmap.NodeID]bool            // to which there should be links
	held       map[netmap.NodeID]chan<- struct{} // for which a goroutine keeps links
	links      map[*link.Link]bool               // all, those too that nobody uses
	past       link.Traffic                      // of links that have ended
	prospects
	changed chan struct{} // a token when the descriptor may be out of date
}

// Start listens, publishes the node's descriptor, and begins to serve. It
// returns once the node takes links. Close ends it.
func Start(ctx context.Context, c Config) (*Node, error) {
	c = c.withDefaults()
	n := &Node{
		config:     c,
		id:         netmap.NodeID(c.Identity.Public().(ed25519.PublicKey)),
		mirror:     directory.NewMirror(directory.MirrorConfig{}),
		circuits:   circuits{limit: maxCircuits},
		handshakes: newHandshakes(maxHandshakes),
		maxCells:   maxCells,
		tight:      make(chan struct{}, 1),
		mixer:      mixer{wake: make(chan struct{}, 1)},
		clients:    newSlots(c.MaxClients),
		asking:     make(chan struct{}, 1),
		neighbours: make(map[netmap.NodeID][]*link.Link),
		wanted:     make(map[netmap.NodeID]bool),
		held:       make(map[netmap.NodeID]chan<- struct{}),
		links:      make(map[*link.Link]bool),
		changed:    make(chan struct{}, 1),
		publishing: make(chan struct{}, 1),
		thinking:   make(chan struct{}, 1),
		trace:      traceroute.Trace,
		prospects:  newProspects(),
		pace:       newPace(c.Rate, c.Burst),
	}
	var v *volume
	if c.MonthlyVolume > 0 {
		var err error
		if v, err = loadVolume(c.MonthlyVolume, filepath.Join(c.State, "volume")); err != nil {
			return nil, fmt.Errorf("start node: %w", err)
		}
	}
	var err error
	if n.policies, err = c.Network.LoadPolicies(c.State); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	n.directory = directory.New(directory.Config{Network: c.Network, State: c.State, Policies: n.policies, Mirror: n.mirror, Log: c.Log})
	if err := n.listen(ctx); err != nil {
		return nil, err
	}
	if err := n.makeKeys(); err != nil {
		n.closeListeners()
		n.awaitListeners()
		return nil, err
	}
	n.mixer.pool = &n.pool
	n.padding.limit = paddedCircuits * n.descriptor.MaxPadding
	n.exit = newExit(c.Exit, n.descriptor.IPs(), c.ExitLimits)
	n.exit.library = newLibrary(n.mirror, c.Log)
	ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	for range runtime.GOMAXPROCS(0) {
		n.running.Go(n.handshake)
	}
	n.running.Go(func() { n.relieve(ctx) })
	if v != nil {
		n.spend(v, time.Now()) // before the first circuit
		n.running.Go(func() { n.meter(ctx, v) })
	}
	n.running.Go(func() {
		if err := n.exit.library.run(); err != nil {
			c.Log.Error("the map is not served any more", "error", err)
		}
	})
	n.running.Go(func() { n.expire(ctx) })
	n.running.Go(func() { n.mixer.run(ctx) })
	n.running.Go(func() { n.publish(ctx) })
	n.running.Go(func() { n.follow(ctx) })
	n.running.Go(func() { n.chooseAgain(ctx) })
	n.running.Go(func() { n.explore(ctx) })
	n.running.Go(func() { n.gauge(ctx) })
	if !c.NoTrace && len(c.Geo.Sources()) > 0 {
		n.running.Go(func() { n.traceNeighbours(ctx) })
	}
	for _, l := range n.listeners {
		n.running.Go(func() { n.accept(ctx, l) })
	}
	n.touch()
	return n, nil
}

// makeKeys fixes the descriptor's identity part and makes prekeys that are
// bound to it.
func (n *Node) makeKeys() error {
	c := n.config
	d := &netmap.Descriptor{
		ID: n.id, Name: c.Name, Owner: c.Owner, Group: c.Group, Country: c.Country, ASN: c.ASN,
		OwnerKey: c.OwnerKey, OwnerProof: c.OwnerProof, Appeal: c.Appeal,
		Exit: c.Exit, Version: Version, Contact: c.Contact, Published: time.Now().UTC(), Capacity: c.Rate,
		MaxDelay: max(c.MaxDelay, 0).Truncate(time.Millisecond), MaxPadding: max(c.MaxPadding, 0),
	}
	if err := n.place(d); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	locate(d, c.Geo)
	if err := d.Validate(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	if !c.Network.PrivateAddresses {
		if err := d.CheckPublic(); err != nil {
			return fmt.Errorf("start node: %w: listen on one that is, or set private_addresses = true in the network's file, for a network of your own", err)
		}
	}
	n.binding = d.Binding()
	keys, err := newPrekeys(tinker.PrekeyConfig{Identity: n.id, Binding: n.binding, Changed: n.touch}, n.policies)
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	n.keys, n.suites, n.descriptor, n.appeal = keys, keys.published(), d, d.Appeal
	return nil
}

// ID returns the node's identity.
func (n *Node) ID() netmap.NodeID { return n.id }

// Directory serves the newest maps that the node has, and the keys of their
// nodes.
func (n *Node) Directory() http.Handler { return n.mirror }

// Addr returns the first address on which the node takes links.
func (n *Node) Addr() netip.AddrPort { return n.Descriptor().Addresses[0] }

// Descriptor returns the descriptor that was last published.
func (n *Node) Descriptor() *netmap.Descriptor {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.descriptor
}

// Public returns what was last published of the node, as it will be on the map.
// Its keys are nil before the first time.
func (n *Node) Public() netmap.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return netmap.Node{Descriptor: n.descriptor, Keys: n.public}
}

// retry returns the last keys as the node has signed them, of one suite if there
// are several; nil before the first.
func (n *Node) retry() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.brief
}

// Close ends all links and waits until everything has stopped. Circuits through
// the node end with an error at their origins.
func (n *Node) Close() error {
	n.closing.Store(true)
	n.stop()
	n.handshakes.close()
	n.mixer.stop()
	n.closeListeners()
	open := n.openLinks()
	for _, l := range open {
		l.Close()
	}
	for _, l := range open {
		<-l.Done()
	}
	n.exit.close()
	n.running.Wait()
	n.awaitListeners()
	n.keys.Close()
	return nil
}

// handshake is a worker: it computes the handshakes of circuits.
func (n *Node) handshake() {
	for {
		f := n.handshakes.next()
		if f == nil {
			return
		}
		f()
	}
}

// touch arranges for a new descriptor.
func (n *Node) touch() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// Alive returns nil once the node's workers have answered. Its error is the
// context's.
func (n *Node) Alive(ctx context.Context) error {
	answered := make(chan struct{})
	select {
	case n.asking <- struct{}{}: // one asks at a time
		n.handshakes.ask(func() {
			<-n.asking
			close(answered)
		})
	case <-ctx.Done():
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("its workers do not answer: %w", ctx.Err())
	}
}
