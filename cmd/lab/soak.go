package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/soak"
)

type soakCommand struct {
	Folder   `embed:""`
	netFlags `embed:""`
	For      time.Duration `help:"How long nodes are killed and links cut." default:"24h"`
	Workers  int           `help:"How many streams of each kind are open at a time, over each client." default:"2"`
	JSON     bool          `help:"Print each line of progress as JSON."`
}

// Help is shown under the command's flags.
func (c *soakCommand) Help() string {
	return "Streams of all kinds go through the network while nodes are killed, stopped and frozen and a hostile neighbour annoys them; " +
		"with --delay, --loss or --rate, links are cut and slowed down, too. Every byte is checked. " +
		"At the end the network must serve again as if nothing had been, and use no more memory, files and goroutines than before. Ctrl-C ends it early.\n\n" +
		"The exit code is 1 if a byte was wrong, a stream ended too early without an error or was stuck, a program crashed, or something was left over."
}

const (
	soakPatience = 4 * time.Minute // after that a stream is stuck: no link is cut for as long
	recoverLimit = 3 * time.Minute
	restLimit    = 6 * time.Minute // the runtime gives memory back slowly
	soakTick     = 10 * time.Second
	warmUp       = 20 * time.Second
	probes       = 10 // small requests in a row that say that the network works
)

// A soaking is one run.
type soaking struct {
	command *soakCommand
	io      command.IO
	world   *world
	network *network
	load    *soak.Load
	hostile *soak.Hostile
	chaos   *chaos
	begun   time.Time
	base    map[string]usage // of each process, at rest
	bugs    []string
}

// Run runs the network, the load and what disturbs them.
func (c *soakCommand) Run(ctx context.Context, io command.IO) error {
	if c.For <= 0 || c.Workers < 1 {
		return errors.New("nothing to do: --for and --workers must be positive")
	}
	w, err := openTemporary(c.State, "soak-", io.Err)
	if err != nil {
		return err
	}
	s := &soaking{command: c, io: io, world: w, begun: time.Now()}
	if err := interrupted(ctx, s.run(ctx)); err != nil {
		w.close()
		return fmt.Errorf("%w; the logs are in %s", err, w.logs())
	}
	w.remove()
	return nil
}

func (s *soaking) run(ctx context.Context) error {
	p := s.command.plan("127.0.0.1:0")
	fmt.Fprintf(s.io.Err, "seed %d\n", p.seed)
	n, err := s.world.startNetwork(ctx, p)
	if err != nil {
		return err
	}
	s.network = n
	server, err := s.serve()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := s.prepare(p, server); err != nil {
		return err
	}
	if err := s.recovered(ctx); err != nil {
		return err
	}
	if err := s.phase(ctx, min(warmUp, s.command.For), nil); err != nil {
		return err
	}
	s.base = s.atRest(ctx, nil)
	disturbed := s.phase(ctx, s.command.For, s.chaos.run)
	if disturbed != nil {
		return disturbed
	}
	if ctx.Err() != nil { // the user has seen enough
		return s.summary(s.use())
	}
	if err := s.recovered(ctx); err != nil {
		s.bug("%v", err)
	}
	rest := s.atRest(ctx, s.base)
	s.goroutines(rest)
	return s.summary(rest)
}

// serve starts the destination, on its host if it has one.
func (s *soaking) serve() (*soak.Server, error) {
	var at *host
	address := "127.0.0.1:0"
	if h := s.world.hosts; h != nil {
		at, address = h.server, net.JoinHostPort(serverHost.String(), "0")
	}
	var l net.Listener
	var packets net.PacketConn
	err := at.do(func() (err error) {
		if l, err = net.Listen("tcp", address); err == nil {
			packets, err = net.ListenPacket("udp", address)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start the destination: %w", err)
	}
	return soak.Serve(l, packets, 2*soakPatience), nil
}

func (s *soaking) prepare(p plan, server *soak.Server) error {
	var proxies []soak.Proxy
	for _, c := range s.network.clients {
		proxies = append(proxies, soak.Proxy{Addr: c.ready["socks"], In: c.host.do})
	}
	s.load = soak.New(soak.Config{
		Proxies: proxies, TCP: server.TCP(), UDP: server.UDP(),
		Seed: p.seed, Workers: s.command.Workers, Patience: soakPatience,
	})
	trust, err := netmap.LoadNetwork(s.network.file)
	if err != nil {
		return err
	}
	var at *host
	if s.world.hosts != nil {
		at = s.world.hosts.server
	}
	s.hostile = hostile(trust, filepath.Join(s.world.dir, "client"), at, p.seed)
	s.chaos = &chaos{world: s.world, network: s.network, seed: p.seed, down: make(map[string]bool)}
	return nil
}

// phase puts load on the network for a time, beside what disturbs it if that is
// not nil, and returns when no stream is open any more.
func (s *soaking) phase(ctx context.Context, d time.Duration, disturb func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { s.load.Run(ctx) })
	var err error
	if disturb != nil {
		running.Go(func() { s.hostile.Run(ctx) })
		running.Go(func() {
			if err = disturb(ctx); err != nil {
				cancel()
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	tick := time.NewTicker(soakTick)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return err
		case <-tick.C:
			s.look()
		}
	}
}

// recovered waits until the network serves.
func (s *soaking) recovered(ctx context.Context) error {
	limit := time.Now().Add(recoverLimit)
	for good := 0; good < probes; {
		err := s.load.Probe(ctx)
		switch {
		case err == nil:
			good++
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(limit):
			return fmt.Errorf("the network does not serve within %v: %w", recoverLimit, err)
		}
		good = 0
		pause(ctx, time.Second)
	}
	return nil
}

func (s *soaking) bug(format string, a ...any) {
	s.bugs = append(s.bugs, fmt.Sprintf(format, a...))
	fmt.Fprintf(s.io.Err, format+"\n", a...)
}

// A progress is what a line of --json holds.
type progress struct {
	Seconds int64            `json:"seconds"`
	Seed    uint64           `json:"seed"`
	Streams soak.Counts      `json:"streams"`
	Chaos   chaosCounts      `json:"chaos"`
	Hostile hostileCounts    `json:"hostile"`
	Packets packetCounts     `json:"packets"`
	Use     map[string]usage `json:"use"`            // of each process
	Base    map[string]usage `json:"base,omitempty"` // the same, before
	Bugs    []string         `json:"bugs,omitempty"`
}

type hostileCounts struct {
	Acts   uint64 `json:"acts"`
	Bursts uint64 `json:"bursts"`
}

type packetCounts struct {
	Passed uint64 `json:"passed"`
	Lost   uint64 `json:"lost"`
}

func (s *soaking) progress(use map[string]usage) progress {
	p := progress{
		Seconds: int64(time.Since(s.begun).Seconds()), Seed: s.chaos.seed,
		Streams: s.load.Counts(), Chaos: s.chaos.counts(), Use: use, Bugs: s.bugs,
	}
	p.Hostile.Acts, p.Hostile.Bursts = s.hostile.Counts()
	if h := s.world.hosts; h != nil {
		p.Packets.Passed, p.Packets.Lost = h.wan.Packets()
	}
	return p
}

// look prints a line of progress, and notes what has ended by itself.
func (s *soaking) look() {
	for _, p := range s.chaos.crashed() {
		s.bug("%s %s ended by itself: %v: %s", p.role, p.name, p.err, p.lastWords())
	}
	s.print(s.progress(s.use()))
}

func (s *soaking) print(p progress) {
	if s.command.JSON {
		json.NewEncoder(s.io.Out).Encode(p) //nolint:errcheck // the summary reports it
		return
	}
	fmt.Fprintln(s.io.Out, p)
}

func (p progress) String() string {
	files, memory := 0, 0
	for _, u := range p.Use {
		files += u.Files
		memory += u.Memory
	}
	return fmt.Sprintf("%8v  right %d  broken %d  wrong %d  %.1f GB  kills %d  stops %d  freezes %d  cuts %d  slowed %d  hostile %d  memory %d MB  files %d",
		time.Duration(p.Seconds)*time.Second, p.Streams.Right, p.Streams.Broken, p.Streams.Wrong, float64(p.Streams.Bytes)/1e9,
		p.Chaos.Kills, p.Chaos.Stops, p.Chaos.Freezes, p.Chaos.Cuts, p.Chaos.Slowed, p.Hostile.Acts, memory>>20, files)
}

// summary prints what came of it, and returns an error if that is not good.
func (s *soaking) summary(rest map[string]usage) error {
	p := s.progress(rest)
	p.Base = s.base
	s.print(p)
	if !s.command.JSON {
		s.printTables(s.io.Out, p)
	}
	bugs := append(p.Streams.Bugs, s.bugs...)
	if p.Streams.Wrong == 0 && len(bugs) == 0 {
		return nil
	}
	return fmt.Errorf("the soak failed with seed %d: %d streams were wrong: %s", p.Seed, p.Streams.Wrong, strings.Join(bugs, "; "))
}

func (s *soaking) printTables(out io.Writer, p progress) {
	var t strings.Builder
	fmt.Fprintf(&t, "\n| kind | right | broken | wrong |\n|---|--:|--:|--:|\n")
	for _, name := range sorted(p.Streams.Kinds) {
		k := p.Streams.Kinds[name]
		fmt.Fprintf(&t, "| %s | %d | %d | %d |\n", name, k.Right, k.Broken, k.Wrong)
	}
	fmt.Fprintf(&t, "\n| how streams broke | |\n|---|--:|\n")
	for _, text := range sorted(p.Streams.Errors) {
		fmt.Fprintf(&t, "| %s | %d |\n", text, p.Streams.Errors[text])
	}
	fmt.Fprintf(&t, "\n%d datagrams, %d of them did not come back; %d bursts of CREATE from the hostile neighbour; %d packets, %d lost\n",
		p.Streams.Datagrams, p.Streams.Lost, p.Hostile.Bursts, p.Packets.Passed, p.Packets.Lost)
	fmt.Fprintf(&t, "\n| at rest | memory before, MB | after | files before | after | goroutines |\n|---|--:|--:|--:|--:|--:|\n")
	for _, name := range sorted(p.Use) {
		b, u := p.Base[name], p.Use[name]
		fmt.Fprintf(&t, "| %s | %d | %d | %d | %d | %d |\n", name, b.Memory>>20, u.Memory>>20, b.Files, u.Files, u.Goroutines)
	}
	io.WriteString(out, t.String()) //nolint:errcheck // nothing is left to say
}
