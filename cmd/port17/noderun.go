package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"safing/internal/command"
	"safing/internal/systemd"
	"safing/port17/metrics"
	"safing/port17/node"
)

type nodeRun struct{}

// Run runs the node until ctx ends, and then drains it.
func (*nodeRun) Run(ctx context.Context, io command.IO, o *nodeOptions, file settingsFile) error {
	return runNode(ctx, io, o, string(file), func(context.Context, *node.Node) error { return nil })
}

// runNode runs the node until ctx ends or started, which is called beside it,
// returns an error; then it drains the node. Its appeal is read again from the
// file.
func runNode(ctx context.Context, io command.IO, o *nodeOptions, file string, started func(context.Context, *node.Node) error) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	if config.Identity, err = o.identity(); err != nil {
		return err
	}
	if err := o.checkOwner(config.Identity); err != nil {
		return err
	}
	config.Log = logTo(io, o.Verbose)
	if config.Geo, err = o.open(config.Log); err != nil {
		return err
	}
	shown, err := listenMetrics(o.Metrics)
	if err != nil {
		return err
	}
	mirrored, err := listenMirror(o.MirrorListen)
	if err != nil {
		return errors.Join(err, closeAll(shown))
	}
	n, err := node.Start(ctx, config)
	if err != nil {
		err = errors.Join(err, closeAll(shown, mirrored))
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w; stop the other program, or choose another port with --listen", err)
		}
		return err
	}
	fmt.Fprintf(io.Out, "ready listen=%s id=%s\n", n.Addr(), n.ID())
	var beside sync.WaitGroup
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	beside.Go(func() {
		if err := started(ctx, n); err != nil {
			fail(err)
		}
	})
	beside.Go(func() { watchdog(ctx, n, config.Log) })
	beside.Go(func() { followAppeal(ctx, n, file, config.Log) })
	beside.Go(func() { config.Geo.Follow(ctx, geoInterval, config.Log) })
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // while it drains, too
	defer stop()
	beside.Go(func() { showMetrics(serving, shown, n, config.Log) })
	beside.Go(func() { showMap(serving, mirrored, n, config.Log) })
	notify(systemd.Ready, config.Log)
	<-ctx.Done()
	notify(systemd.Stopping, config.Log)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(o.Drain))
	defer cancel()
	n.Drain(drain)
	stop()
	beside.Wait()
	return errors.Join(why(ctx), n.Close())
}

// showMetrics answers on the listener, if there is one, until ctx ends.
func showMetrics(ctx context.Context, l net.Listener, n *node.Node, log *slog.Logger) {
	if l == nil {
		return
	}
	if err := serveHTTP(ctx, l, metrics.Handler(n), log); err != nil {
		log.Error("metrics are not shown any more", "error", err)
	}
}

// showMap serves the map on the listener, if there is one, until ctx ends.
func showMap(ctx context.Context, l net.Listener, n *node.Node, log *slog.Logger) {
	if l == nil {
		return
	}
	if err := serveMirror(ctx, l, n.Directory(), log); err != nil {
		log.Error("the map is not served in HTTP any more", "error", err)
	}
}

// why returns why the node was stopped, if it was not told to.
func why(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func closeAll(listeners ...net.Listener) (err error) {
	for _, l := range listeners {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// listenMetrics listens where metrics are shown; nil if they are not. How much a
// node does at each moment is nobody else's business.
func listenMetrics(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("metrics at %s could be read by others: choose an address such as 127.0.0.1:9117 with --metrics", address)
	}
	return command.Listen(address, "--metrics")
}

// notify tells the service manager. One that cannot be told is no reason to
// stop.
func notify(state string, log *slog.Logger) {
	if err := systemd.Notify(state); err != nil {
		log.Warn("the service manager was not told", "error", err)
	}
}

// watchdog says to the service manager that the node is alive, as long as it is.
// While it drains, the service manager's limit for stopping holds instead.
func watchdog(ctx context.Context, n *node.Node, log *slog.Logger) {
	within := systemd.Watchdog()
	if within == 0 {
		return
	}
	tick := time.NewTicker(within / 3)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, within/3)
		err := n.Alive(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the node does not answer", "error", err)
		default:
			notify(systemd.Alive, log)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
