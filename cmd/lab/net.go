package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"safing/internal/command"
	"safing/internal/wan"
)

type netCommand struct {
	Folder `embed:""`
	netFlags
	JSON  bool   `help:"Print what runs as JSON: addresses, process ids, namespaces, logs."`
	Socks string `help:"Where the first client's SOCKS proxy listens; with --delay, --loss or --rate on that client's host." default:"127.0.0.1:0"`
}

// netFlags say which network to start.
type netFlags struct {
	Nodes   int           `help:"How many nodes it has, 3 to 200." default:"7"`
	Exits   int           `help:"How many of them are exits." default:"4"`
	Clients int           `help:"How many clients it has; each has a SOCKS proxy." default:"1"`
	Delay   time.Duration `help:"How long each packet takes from one host to another, such as 25ms. Gives every program a network namespace of its own, as --loss and --rate do: needs root."`
	Loss    wan.Share     `help:"The share of packets that are lost on each link, such as 0.1%." placeholder:"SHARE"`
	Rate    wan.Rate      `help:"What each link carries in each direction, such as 100mbit. Packets that would wait for more than 100 ms are dropped." placeholder:"RATE"`
	Seed    uint64        `help:"Chooses what is random, such as which packets are lost; 0 takes another one each time."`
}

func (f netFlags) plan(socks string) plan {
	if f.Seed == 0 {
		f.Seed = rand.Uint64()>>11 + 1 // JSON's numbers have 53 bits
	}
	return plan{
		nodes: f.Nodes, exits: f.Exits, clients: f.Clients, socks: socks,
		link: wan.Link{Delay: f.Delay, Loss: f.Loss, Rate: f.Rate}, seed: f.Seed,
	}
}

// Help is shown under the command's flags.
func (c *netCommand) Help() string {
	return "Without --delay, --loss and --rate everything listens on loopback addresses. With one of them every program stands on a host of its own, " +
		"a network namespace, and one more is there for destinations; nsenter runs programs on them:\n\n" +
		"  lab net --json --delay 25ms --loss 0.1% --rate 100mbit > net.json\n" +
		"  nsenter --net=$(jq -r .server.netns net.json) SERVER\n" +
		"  nsenter --net=$(jq -r '.processes[]|select(.role==\"client\").netns' net.json) \\\n" +
		"    curl -x socks5h://$(jq -r .socks net.json) http://10.3.0.1/\n\n" +
		"What --json prints:\n\n" +
		"  running, pid, started           of this command: true, its process, and a time in UTC\n" +
		"  network, network_file           the network's name, and its file for port17 --network\n" +
		"  authority                       URL of the first authority\n" +
		"  socks, socks_port, client_api   the first client's proxy, that one's port, and the socket\n" +
		"                                  for port17 status --socket\n" +
		"  links                           what each link does, left out if nothing: delay_ns, one way, in\n" +
		"                                  nanoseconds; loss, 0 to 1 of the packets; rate_bps, bits a second\n" +
		"                                  in each direction, 0 without limit; seed\n" +
		"  server                          the host for destinations: address and netns, left out without one\n" +
		"  processes                       of each: role (authority, witness, node, client), name, pid, running,\n" +
		"                                  address (where it listens; a client's is its proxy), api (a client's\n" +
		"                                  socket), log (a file), netns (a path for nsenter --net); of nodes:\n" +
		"                                  id, owner, country, exit (true if it is one)"
}

// Run starts the network in a folder of its own below the lab's, so that it
// can stand beside a lab, and removes it at the end.
func (c *netCommand) Run(ctx context.Context, io command.IO) error {
	w, err := openTemporary(c.State, "net-", io.Err)
	if err != nil {
		return err
	}
	defer w.remove()
	n, err := w.startNetwork(ctx, c.plan(c.Socks))
	if err != nil {
		return interrupted(ctx, err)
	}
	s := w.describe(n)
	if err := s.save(w.dir); err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(io.Out)
		e.SetIndent("", "  ")
		err = e.Encode(s)
	} else {
		_, err = fmt.Fprintf(io.Out, "network is up  socks %s  file %s\n", s.Socks, n.file)
	}
	if err != nil {
		return err
	}
	w.report(ctx)
	return nil
}

// interrupted is nil when err came of the user's wish to stop.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// logs is where the processes of a world write.
func (w *world) logs() string { return filepath.Join(w.dir, "logs") }
