package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/node"
)

type nodeCommand struct {
	Network        string   `help:"The network's file." required:"" type:"existingfile" placeholder:"FILE"`
	State          string   `help:"Folder of the node: its identity and the map." default:"/var/lib/port17/node" type:"path" placeholder:"DIR"`
	Listen         []string `help:"Address and port on which links are taken; others must be able to connect to it. May be repeated." required:"" placeholder:"ADDR"`
	Name           string   `help:"What to call the node." required:"" placeholder:"NAME"`
	Owner          string   `help:"Who runs it. Routes never use two nodes of one owner: give all of yours the same." required:"" placeholder:"NAME"`
	Group          string   `help:"Which of the owner's nodes stand or fall together." placeholder:"NAME"`
	Country        string   `help:"Where it stands, such as DE." placeholder:"CODE"`
	ASN            uint32   `help:"Number of its network." placeholder:"N"`
	Contact        string   `help:"How to reach the operator." placeholder:"TEXT"`
	ExitPolicy     []string `help:"Where the node connects to for others; the first rule that matches decides, and what none matches is refused. Rules are like \"accept *:80,443\" and \"reject 192.0.2.0/24:*\"; none, web, reduced and public stand for sets of rules. May be repeated." default:"none" sep:"none" placeholder:"RULE"`
	MaxLinks       int      `help:"Nodes to which it keeps links." default:"16"`
	MaxConnections int      `help:"Connections to destinations, and sockets for datagrams, that an exit has at once; each is an open file." default:"8192"`
	passphraseFile
	Verbose bool `help:"Log what a developer wants to see." short:"v"`
}

// Run runs the node until ctx ends.
func (c *nodeCommand) Run(ctx context.Context, io command.IO) error {
	network, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	policy, err := netmap.ParseExitPolicy(c.ExitPolicy)
	if err != nil {
		return err
	}
	key, err := c.identity()
	if err != nil {
		return err
	}
	n, err := node.Start(ctx, node.Config{
		Identity: key, Network: network, Listen: c.Listen, Name: c.Name, Owner: c.Owner, Group: c.Group,
		Country: c.Country, ASN: c.ASN, Contact: c.Contact, Exit: policy, State: c.State, MaxLinks: c.MaxLinks, ExitLimits: node.ExitLimits{Connections: c.MaxConnections},
		Log: logTo(io, c.Verbose),
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop the other program, or choose another port with --listen", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "ready listen=%s id=%s\n", n.Addr(), n.ID())
	<-ctx.Done()
	return n.Close()
}

// identity reads the node's key, or makes one.
func (c *nodeCommand) identity() (ed25519.PrivateKey, error) {
	passphrase, err := c.passphrase()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.State, "identity")
	key, err := node.LoadIdentity(path, passphrase)
	return key, advise(err, path)
}
