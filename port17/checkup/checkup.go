package checkup

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"safing/internal/geo"
	"safing/netmap"
	"safing/port17/directory"
)

// A Level says how much a finding matters.
type Level string

// Levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // the node runs, and could do better
	Problem Level = "problem" // the node does not run, or clients do not use it
)

// A Finding is what one check has found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do; "" if all is well
}

// Config is what is known of the node.
type Config struct {
	Network *netmap.Network
	// Listen, ListenQUIC and ListenTLS are where it takes links, TLSHost the name
	// of its certificate.
	Listen, ListenQUIC, ListenTLS []string
	TLSHost                       string
	Exit                          netmap.ExitPolicy
	Contact                       string
	// Country and ASN are where it says that it is; Geo may know better. Nil
	// does not.
	Country string
	ASN     uint32
	Geo     *geo.DB
	State   string // folder
	// Key is the file of the node's key, which Passphrase opens if it is
	// encrypted.
	Key, Passphrase string
	// Links is how many links the node may have, and Connections how many
	// connections to destinations. Each is an open file.
	Links, Connections int
}

// timeout bounds what is asked of the network.
const timeout = 10 * time.Second

// Run makes all checks, one after the other. It takes half a minute at most.
func Run(ctx context.Context, c Config) []Finding {
	r := &report{config: c}
	r.checkKey()
	r.checkState()
	r.checkExit()
	r.checkMap(ctx)
	r.checkClock(ctx)
	entrances := r.checkAddresses()
	r.checkLocation()
	for _, e := range entrances {
		r.checkPort(ctx, e)
	}
	r.checkListed()
	r.checkReached()
	r.checkFiles()
	r.checkKernel()
	return r.findings
}

// A report is what was found so far.
type report struct {
	config   Config
	findings []Finding

	id      netmap.NodeID // zero if the key could not be read
	m       *netmap.Map   // nil if there is none
	self    netmap.Node   // what that says of the node
	listed  bool
	running bool // the node itself has answered

	entrances []netmap.Entrance // of the settings
}

func (r *report) add(check string, level Level, fix, format string, args ...any) {
	r.findings = append(r.findings, Finding{Check: check, Level: level, Text: fmt.Sprintf(format, args...), Fix: fix})
}

func (r *report) ok(check, format string, args ...any) { r.add(check, OK, "", format, args...) }

func (r *report) warn(check, fix, format string, args ...any) {
	r.add(check, Warning, fix, format, args...)
}

func (r *report) problem(check, fix, format string, args ...any) {
	r.add(check, Problem, fix, format, args...)
}

func (r *report) checkMap(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := directory.New(directory.Config{Network: r.config.Network}).Fetch(ctx)
	if err != nil {
		r.problem("map", "check the way to the authority, and that the network's file is the right one", "%v", err)
		return
	}
	r.m = m
	r.self, r.listed = m.Node(r.id)
	r.ok("map", "map %d of %s with %d nodes, valid until %s", m.Sequence, m.Network, len(m.Nodes), m.ValidUntil.UTC().Format(time.RFC3339))
}

// checkListed says whether clients know the node, or why not.
func (r *report) checkListed() {
	switch {
	case r.m == nil || r.id.IsZero():
		return
	case r.listed && !r.running:
		r.warn("listed", "start it", "the node does not run, and the map has it still")
		r.compare()
	case r.listed:
		r.ok("listed", "the map has the node, as %q of %q", r.self.Name, r.self.Owner)
		r.compare()
	case r.saySuspended():
	case r.running:
		r.problem("listed", "look into its log for what the authority answers, and at the firewall of the machine and of its network", "the node runs and is not on the map: it has just started, drains, has used up its volume, or authorities refuse it or cannot link to all its addresses")
	default:
		r.warn("listed", "start it", "the node does not run, and is not on the map")
	}
}

// saySuspended says so if authorities have suspended the node.
func (r *report) saySuspended() bool {
	var reasons []string
	for _, said := range r.config.Network.Suspensions(r.m, r.id) {
		reasons = append(reasons, fmt.Sprintf("%s: %s", r.config.Network.Authorities[said.Authority].URL, said.Moderation.Reason))
	}
	if len(reasons) > 0 {
		r.problem("listed", "answer with port17 node appeal", "authorities have suspended the node: %s", strings.Join(reasons, ", "))
	}
	return len(reasons) > 0
}

// compare looks whether the node runs with these settings.
func (r *report) compare() {
	configured := make(map[netmap.Entrance]bool)
	for _, e := range r.entrances {
		configured[e] = true
	}
	for _, in := range []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS} {
		for _, e := range r.self.Ways(in) {
			anyPort := e
			anyPort.Addr = netip.AddrPortFrom(e.Addr.Addr(), 0)
			if !configured[e] && !configured[anyPort] {
				r.warn("settings", "restart the node", "the map has it at %s, which is not in its settings", e)
				return
			}
			delete(configured, e)
			delete(configured, anyPort)
		}
	}
	for e := range configured {
		r.warn("settings", "restart the node", "the map does not have it at %s, which is in its settings", e)
		return
	}
	if fmt.Sprint(r.self.Exit.Rules()) != fmt.Sprint(r.config.Exit.Rules()) {
		r.warn("settings", "restart the node", "the map has another exit policy than its settings")
		return
	}
	r.ok("settings", "the map has the node's addresses and exit policy as its settings do")
}

// checkReached asks what others' links say. Of two nodes that want links, the one
// whose identity is less dials the other.
func (r *report) checkReached() {
	if !r.listed || len(r.m.Nodes) < 2 {
		return
	}
	self, _ := r.m.Index(r.id)
	linked, dialled, could := 0, 0, self
	for _, e := range r.m.Edges(self) {
		linked++
		if e.To < self { // nodes are in the order of their identities
			dialled++
		}
	}
	switch {
	case linked == 0:
		r.problem("reached", "let others connect to its ports: look at the firewall of the machine and of its network", "no node on the map has a link to it")
	case dialled == 0 && could > 0:
		r.warn("reached", "let others connect to its ports: look at the firewall of the machine and of its network", "%d nodes have a link to it, and it may be that it has made all of them itself", linked)
	default:
		r.ok("reached", "%d of %d other nodes have a link to it", linked, len(r.m.Nodes)-1)
	}
}
