package portmaster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"safing/internal/geo"
	"safing/portmaster/api"
	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/portmaster/ui"
	"safing/portmaster/verdict"
)

const (
	tableLimit = 10_000 // connections in the live table
	stopLimit  = 2 * time.Second

	geoInterval = time.Minute // between looks whether the location database changed
)

// Config says what a daemon guards and where its parts are.
type Config struct {
	State  string // folder; made if it is not there
	Cgroup string // folder of the control group that is guarded; empty: the machine
	Listen string // loopback address and port of the page
	// DefaultSocket is a path that is pointed at the daemon's socket when no
	// other daemon answers there; empty: none.
	DefaultSocket string
	// PinDir is a folder in which the kernel's programs outlive a crash of the
	// daemon; empty: they end with it, and guarding with them.
	PinDir  string
	Version string
	// OpenTunnel opens the network that the settings name. It is called once,
	// and only when they name one. What it returns is closed in the end if it
	// has a method Close.
	OpenTunnel func(ctx context.Context, s TunnelSettings, state string, log *slog.Logger) (Tunnel, error)
	Log        *slog.Logger // nil: nothing is logged
}

// A Daemon is a running firewall. Make one with [Start].
type Daemon struct {
	config  Config
	log     *slog.Logger
	started time.Time

	state  *stateDir
	store  *history.Store
	table  *history.Table
	geo    *geo.DB
	lists  *lists
	apps   *apps
	names  *names
	engine *verdict.Engine
	guard  *kernel.Guard
	rebind chan struct{} // a program may have been replaced
	page   net.Listener
	socket net.Listener
	token  string
	ctx    context.Context // of everything that runs
	stop   context.CancelFunc
	work   sync.WaitGroup // everything that ends with ctx
	// recording ends when the guard is closed: its last events count, too.
	recording sync.WaitGroup
	closing   []func() // in the order in which parts were made

	recorder  *recorder
	gateway   *gateway
	dns       *dnsServer
	questions *questions

	reloading sync.Mutex // one at a time

	mu              sync.Mutex
	settings        Settings // Default and Rules change
	settingsProblem error
}

// Start starts a daemon. When it returns, connections are judged and the page
// answers. ctx bounds the start alone; [Daemon.Close] ends the daemon.
func Start(ctx context.Context, c Config) (*Daemon, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("guarding connections needs root: run this with sudo")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{config: c, log: c.Log, started: time.Now(), rebind: make(chan struct{}, 1)}
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, step := range []func(context.Context) error{
		d.openFiles, d.openListeners, d.openRules, d.openGuard, d.serve,
	} {
		if err := step(ctx); err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

// Ready is where the page and the socket are.
func (d *Daemon) Ready() (page, socket string) {
	return api.PageURL(d.page.Addr().String(), d.token), d.state.file(socketFile)
}

// Close ends the daemon: tunnelled connections are reset, then the kernel lets
// everything through again. What could not be ended well is in the log.
func (d *Daemon) Close() {
	d.stop()
	d.work.Wait()
	for len(d.closing) > 0 {
		last := len(d.closing) - 1
		d.closing[last]()
		d.closing = d.closing[:last]
	}
}

// finally has Close do something, after what is added later.
func (d *Daemon) finally(what string, do func() error) {
	d.closing = append(d.closing, func() {
		if err := do(); err != nil {
			d.log.Error("stop "+what, "error", err)
		}
	})
}

// openFiles takes the state folder and opens what is in it.
func (d *Daemon) openFiles(ctx context.Context) error {
	var err error
	if d.state, err = openState(d.config.State); err != nil {
		return err
	}
	d.finally("the state folder", d.state.Close)
	if d.settings, err = LoadSettings(d.state.path); err != nil {
		return err
	}
	if d.token, err = d.state.token(); err != nil {
		return err
	}
	if d.settings.GeoIP != "" {
		if d.geo, err = geo.Open(d.settings.GeoIP); err != nil {
			return fmt.Errorf("%w: correct geoip in %s", err, d.state.file(settingsFile))
		}
	}
	if d.store, err = history.Open(ctx, d.state.file("history.db"), historyLimits(d.settings.History), d.log); err != nil {
		return err
	}
	d.finally("the history", d.store.Close)
	last, err := d.store.LastID(ctx)
	if err != nil {
		return err
	}
	d.table = history.NewTable(tableLimit, last)
	d.record()
	return nil
}

// openListeners opens the page's port and the socket. They answer later.
func (d *Daemon) openListeners(context.Context) error {
	var err error
	if d.page, err = listenPage(d.config.Listen); err != nil {
		return err
	}
	d.finally("the page", closeListener(d.page))
	if d.socket, err = listenSocket(d.state.file(socketFile)); err != nil {
		return err
	}
	d.finally("the socket", closeListener(d.socket))
	release, err := claimDefault(d.config.DefaultSocket, d.state.file(socketFile))
	if err != nil {
		d.log.Info("the command line needs --state to find this daemon", "error", err)
		return nil
	}
	d.finally("the well-known socket", func() error { release(); return nil })
	return nil
}

const socketFile = "api.sock"

// closeListener closes one that may be closed already.
func closeListener(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// serve starts everything that runs on its own.
func (d *Daemon) serve(context.Context) error {
	ctx := d.ctx
	server := api.New(api.Config{
		Daemon: d, Table: d.table, History: d.store, Page: ui.Handler(), Version: d.config.Version,
		Token: d.token, Address: d.page.Addr().String(),
	})
	d.recording.Go(func() { d.recorder.run(context.WithoutCancel(ctx)) })
	d.work.Go(func() { newSockets(d.table, d.log).run(ctx) })
	d.work.Go(func() { d.gateway.count(ctx) })
	d.lists.changed = d.listChanged
	d.work.Go(func() { d.lists.run(ctx) })
	d.work.Go(func() { d.names.run(ctx) })
	d.work.Go(func() { d.watchFiles(ctx) })
	d.work.Go(func() { d.geo.Follow(ctx, geoInterval, d.log) })
	d.serveHTTP(ctx, d.page, server.Browser())
	d.serveHTTP(ctx, d.socket, server.Socket())
	return nil
}

// record keeps the history until everything else has ended.
func (d *Daemon) record() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.store.Record(ctx, d.table)
	}()
	d.finally("writing the history", func() error {
		stop()
		<-done
		return nil
	})
}

// serveHTTP answers on a listener until ctx ends.
func (d *Daemon) serveHTTP(ctx context.Context, l net.Listener, h http.Handler) {
	s := newHTTPServer(h)
	s.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)
	s.BaseContext = func(net.Listener) context.Context { return ctx } // ends the streams
	d.work.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("serve", "address", l.Addr(), "error", err)
		}
	})
	d.work.Go(func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		if s.Shutdown(limit) != nil {
			s.Close() //nolint:errcheck // it closes what did not end
		}
	})
}
