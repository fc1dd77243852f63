package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/client"
	"safing/port17/route"
	"safing/port17/shape"
)

// defaultSocket is where the commands that ask a client look for one.
const defaultSocket = "/run/port17/client.sock"

// slowStart is after how long a client says that it still waits.
const slowStart = 3 * time.Second

type clientCommand struct {
	Network  string        `help:"The network's file." required:"" type:"existingfile" placeholder:"FILE"`
	State    string        `help:"Folder of the client: the map and its entries." default:"/var/lib/port17/client" type:"path" placeholder:"DIR"`
	Socks    []string      `help:"Address and port of the proxy, for SOCKS5 and HTTP CONNECT. Options may follow, such as ADDR,level=high,country=DE: level, delay, shape, nodes (at least), country and exit (of the exit), avoid-country, avoid-as, avoid-exit. Several proxies never share a circuit. UDP (SOCKS5's UDP ASSOCIATE) works for programs on this machine, if the address is a loopback one." default:"127.0.0.1:1080" sep:"none" placeholder:"ADDR"`
	Level    route.Level   `help:"How tough routes are: normal (3 nodes), high (4) or extreme (5)." default:"normal"`
	Delay    time.Duration `help:"How long cells wait at each node on the average, so that times say less, such as 50ms; at the level extreme that much at least. Nodes offer up to 1s." default:"0s"`
	Shape    shape.Shape   `help:"How circuits are padded: none, constant:RATE (cells of 4 kB a second in each direction, always), light or heavy; at the level extreme constant:32 unless another is named." default:"none" placeholder:"SHAPE"`
	Wrapping string        `help:"What links to the network travel in: tcp, quic (for networks that slow TCP down or block it), tls (WebSocket over TLS, for networks that let nothing but web sites through), or auto, which takes the first of these that works." enum:"auto,tcp,quic,tls" default:"auto"`
	Parallel int           `help:"Links that it keeps to each entry, 8 at most." default:"2"`
	Ahead    int           `help:"How many circuits are built before they are asked for, at most. Without connections in the last ten minutes there are none." default:"6"`
	Canary   bool          `help:"Build no circuits while an authority's canary is missing, out of date or withdrawn." name:"stop-without-canary"`
	Wait     time.Duration `help:"How long to wait for the network." default:"1m"`
	geoFiles
	Verbose bool `help:"Log what a developer wants to see." short:"v"`
}

// Run runs the client until ctx ends.
func (c *clientCommand) Run(ctx context.Context, io command.IO) error {
	network, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	log := logTo(io, c.Verbose)
	locations, err := c.open(log)
	if err != nil {
		return err
	}
	proxies, err := listenProxies(c.Socks)
	if err != nil {
		return err
	}
	api, socket, err := listenAPI(c.State)
	if err != nil {
		return errors.Join(err, proxies.close())
	}
	ahead := c.Ahead
	if ahead == 0 {
		ahead = -1
	}
	var wrappings []netmap.Wrapping // all
	if c.Wrapping != "auto" {
		w, err := netmap.ParseWrapping(c.Wrapping)
		if err != nil {
			return errors.Join(err, proxies.close(), api.Close())
		}
		wrappings = []netmap.Wrapping{w}
	}
	client, err := client.New(ctx, client.Config{Network: network, State: c.State, Wrappings: wrappings, Level: c.Level, Delay: c.Delay, Shape: c.Shape, Ahead: ahead, Parallel: c.Parallel, StopWithoutCanary: c.Canary, Geo: locations, Log: log})
	if err != nil {
		return errors.Join(err, proxies.close(), api.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		served <- serveHTTP(ctx, api, client.Handler(), log)
		stop()
	}()
	unlink := offerSocket(socket)
	defer unlink()
	if err := c.await(ctx, client, log); err != nil {
		stop()
		return errors.Join(err, proxies.close(), <-served, client.Close())
	}
	var following sync.WaitGroup
	following.Go(func() { locations.Follow(ctx, geoInterval, log) })
	fmt.Fprintf(io.Out, "ready socks=%s api=%s\n", proxies, socket)
	err = proxies.serve(ctx, client)
	stop()
	following.Wait()
	return errors.Join(err, <-served, client.Close())
}

// await waits until the client can be used. Meanwhile port17 status is answered.
func (c *clientCommand) await(ctx context.Context, client *client.Client, log *slog.Logger) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Wait, fmt.Errorf("not within %s", c.Wait))
	defer cancel()
	slow := time.AfterFunc(slowStart, func() { log.Info("the client waits for the network", "at_most", c.Wait) })
	defer slow.Stop()
	return client.Ready(ctx)
}

// listenAPI listens on a socket in the client's folder that only its owner can
// use. One that a killed client has left behind is replaced.
func listenAPI(state string) (net.Listener, string, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, "", fmt.Errorf("make the client's folder: %w; name another with --state", err)
	}
	path := filepath.Join(state, "client.sock")
	if alive(path) {
		return nil, "", fmt.Errorf("another client already uses %s: stop it, or name another folder with --state", state)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, "", fmt.Errorf("listen for questions: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, "", errors.Join(err, l.Close())
	}
	return l, path, nil
}

func alive(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// offerSocket makes the default path lead to the socket, unless it leads to
// another client's or may not be written. What it returns undoes that.
func offerSocket(socket string) (undo func()) {
	if alive(defaultSocket) || os.MkdirAll(filepath.Dir(defaultSocket), 0o755) != nil {
		return func() {}
	}
	os.Remove(defaultSocket)
	if os.Symlink(socket, defaultSocket) != nil {
		return func() {}
	}
	return func() {
		if to, err := os.Readlink(defaultSocket); err == nil && to == socket {
			os.Remove(defaultSocket)
		}
	}
}
