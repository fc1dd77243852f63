package main

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"safing/netmap"
	"safing/port17/node"
)

type nodeCommand struct {
	Config settingsFile `help:"File with the options below, as in exit_policy = [\"web\"]. What the command line says comes first." type:"existingfile" placeholder:"FILE"`
	nodeOptions
	Run    nodeRun    `cmd:"" default:"1" help:"Run the node."`
	Join   nodeJoin   `cmd:"" help:"Make a node that joins a network: its identity and its settings."`
	Appeal nodeAppeal `cmd:"" help:"Answer to what authorities say of the node."`
	Check  nodeCheck  `cmd:"" help:"Check the node's settings and its machine, and what the network says of it."`
}

// nodeOptions are the options of a node, and the settings of its file.
type nodeOptions struct {
	Network        string            `help:"The network's file." required:"" type:"existingfile" placeholder:"FILE" toml:"network"`
	State          string            `help:"Folder of the node: its identity and the map." default:"/var/lib/port17/node" type:"path" placeholder:"DIR" toml:"state"`
	Listen         []string          `help:"Address and port on which links are taken; others must be able to connect to it. May be repeated." required:"" placeholder:"ADDR" toml:"listen"`
	ListenQUIC     []string          `help:"Address and port, of UDP, on which clients may link in QUIC, for networks that slow TCP down or block it. May be repeated." name:"listen-quic" placeholder:"ADDR" toml:"listen_quic"`
	ListenTLS      []string          `help:"Address and port, best 443, on which clients may link in WebSocket over TLS, for networks that let nothing but web sites through. May be repeated." name:"listen-tls" placeholder:"ADDR" toml:"listen_tls"`
	TLSCert        string            `help:"The certificate of the web site that the node then is, a PEM file that is read again when it changes; without one, the node makes its own." type:"existingfile" placeholder:"FILE" name:"tls-cert" toml:"tls_cert"`
	TLSKey         string            `help:"Its key." type:"existingfile" placeholder:"FILE" name:"tls-key" toml:"tls_key"`
	TLSHost        string            `help:"The name that it is for. Clients then ask for that name and check the certificate." placeholder:"NAME" name:"tls-host" toml:"tls_host"`
	Name           string            `help:"What to call the node." required:"" placeholder:"NAME" toml:"name"`
	Owner          string            `help:"Who runs it. Routes never use two nodes of one owner: give all of yours the same." required:"" placeholder:"NAME" toml:"owner"`
	Group          string            `help:"Which of the owner's nodes stand or fall together." placeholder:"NAME" toml:"group"`
	OwnerKey       ownerRef          `help:"Public key of who runs it, as port17 owner sign prints it. Then nobody else can run nodes in this name. For port17 node join, the file of the key will do, too." placeholder:"KEY" toml:"owner_key"`
	OwnerProof     netmap.OwnerProof `help:"Proof that the node is the owner's, as port17 owner sign prints it." placeholder:"PROOF" toml:"owner_proof"`
	Appeal         string            `help:"Answer to what authorities say of the node, up to 256 bytes, which stands on the map beside that." placeholder:"TEXT" toml:"appeal"`
	Country        string            `help:"Where it stands, such as DE." placeholder:"CODE" toml:"country"`
	ASN            uint32            `help:"Number of its network." placeholder:"N" toml:"asn"`
	Contact        string            `help:"How to reach the operator." placeholder:"TEXT" toml:"contact"`
	ExitPolicy     []string          `help:"Where the node connects to for others; the first rule that matches decides, and what none matches is refused. Rules are like \"accept *:80,443\" and \"reject 192.0.2.0/24:*\"; none, web, reduced and public stand for sets of rules. May be repeated." default:"none" sep:"none" placeholder:"RULE" toml:"exit_policy"`
	MaxLinks       int               `help:"Nodes to which it keeps links." default:"16" toml:"max_links"`
	Parallel       int               `help:"Links that it keeps to each of them, 8 at most." default:"2" toml:"parallel"`
	MaxConnections int               `help:"Connections to destinations, and sockets for datagrams, that an exit has at once; each is an open file." default:"8192" toml:"max_connections"`
	ConnectRate    float64           `help:"Connections a second that one circuit may begin with at an exit; 256 may come at once." default:"50" toml:"connect_rate"`
	TargetRate     float64           `help:"Connections a second that may be begun to one IPv4 address or IPv6 /64; twenty times as many may come at once." default:"50" toml:"target_rate"`
	Rate           amount            `help:"Bytes a second that all links together send, and as many that they receive, such as 10MB; at least 100kB. 0 does not limit them." default:"0" toml:"rate"`
	Burst          amount            `help:"Bytes that may come at once beyond that; as many as in a second, if less." default:"0" toml:"burst"`
	MonthlyVolume  amount            `help:"Bytes that the node moves in a month (UTC), sent and received together, such as 2TB. When they are used up, it takes no circuits until the next. 0 does not limit them." default:"0" toml:"monthly_volume"`
	MaxDelay       span              `help:"Greatest mean of the delays with which it mixes circuits that ask for it, up to 10s; 0s for none." default:"1s" toml:"max_delay"`
	MaxPadding     int               `help:"Cells of 4 kB a second, up to 1000, with which it pads a circuit that asks for it; 64 of them at most at that rate. 0 for none." default:"100" toml:"max_padding"`
	Metrics        string            `help:"Address and port of this machine on which Prometheus gets the node's metrics, such as 127.0.0.1:9117." placeholder:"ADDR" toml:"metrics"`
	MirrorListen   string            `help:"Address and port on which anybody gets the network's map from the node, in plain HTTP; everything in it is signed. Circuits get it without that, too." name:"mirror-listen" placeholder:"ADDR" toml:"mirror_listen"`
	Drain          span              `help:"How long circuits that the node has may go on when it is told to stop. A second signal ends it at once." default:"1m" toml:"drain"`
	Trace          bool              `help:"Trace the paths to neighbours once a day, and publish which networks and countries they cross, as far as the location databases know." default:"true" negatable:"" toml:"trace"`
	geoFiles
	passphraseFile
	Verbose bool `help:"Log what a developer wants to see." short:"v" toml:"verbose"`
}

// AfterApply hands the options to the command.
func (c *nodeCommand) AfterApply(ctx *kong.Context) error {
	ctx.Bind(&c.nodeOptions, c.Config)
	return nil
}

// config returns the node's configuration. The network's file and the policy
// are read, the key is not.
func (o *nodeOptions) config() (node.Config, error) {
	if o.Rate > 0 && o.Rate < node.MinRate {
		return node.Config{}, fmt.Errorf("a rate of %d bytes a second is too little: set at least %d kB, or 0 for none", o.Rate, node.MinRate/1000)
	}
	if o.MaxLinks > netmap.MaxLinks {
		return node.Config{}, fmt.Errorf("links to %d nodes are too many: set at most %d", o.MaxLinks, netmap.MaxLinks)
	}
	network, err := netmap.LoadNetwork(o.Network)
	if err != nil {
		return node.Config{}, err
	}
	owner, err := o.OwnerKey.public()
	if err != nil {
		return node.Config{}, fmt.Errorf("owner_key: %w", err)
	}
	policy, err := netmap.ParseExitPolicy(o.ExitPolicy)
	if err != nil {
		return node.Config{}, err
	}
	delay, padding := time.Duration(o.MaxDelay), o.MaxPadding
	if delay == 0 {
		delay = -1
	}
	if padding == 0 {
		padding = -1
	}
	return node.Config{
		MaxDelay: delay, MaxPadding: padding,
		Network: network, Listen: o.Listen, ListenQUIC: o.ListenQUIC, ListenTLS: o.ListenTLS,
		TLSCert: o.TLSCert, TLSKey: o.TLSKey, TLSHost: o.TLSHost, Name: o.Name, Owner: o.Owner, Group: o.Group,
		OwnerKey: owner, OwnerProof: o.OwnerProof, Appeal: o.Appeal,
		Country: o.Country, ASN: o.ASN, Contact: o.Contact, Exit: policy, State: o.State, MaxLinks: o.MaxLinks, Parallel: o.Parallel,
		ExitLimits: node.ExitLimits{Connections: o.MaxConnections, CircuitRate: o.ConnectRate, DestinationRate: o.TargetRate},
		Rate:       uint64(o.Rate), Burst: uint64(o.Burst), MonthlyVolume: uint64(o.MonthlyVolume), NoTrace: !o.Trace,
	}, nil
}

// identity reads the node's key, or makes one.
func (o *nodeOptions) identity() (ed25519.PrivateKey, error) {
	passphrase, err := o.passphrase()
	if err != nil {
		return nil, err
	}
	path := o.identityFile()
	key, err := node.LoadIdentity(path, passphrase)
	return key, advise(err, path)
}

func (o *nodeOptions) identityFile() string { return filepath.Join(o.State, "identity") }
