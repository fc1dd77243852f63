package soak_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"safing/port17/client"
	"safing/port17/directory"
	"safing/port17/soak"
	"safing/port17/testnet"
)

var (
	seed    = flag.Uint64("seed", 0, "repeat a run with its seed; 0 chooses one")
	lasting = flag.Duration("lasting", 6*time.Second, "how long nodes are killed and links cut")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	moreHeap = 24 << 20 // bytes that may be in use besides
	moreFDs  = 24       // links and circuits that are kept in stock
)

// A network that is at rest uses what it used before, whatever happened between;
// once it is closed, nothing of it is left.
func TestSoak(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("to repeat: go test ./port17/soak -seed %d", *seed)
	before := use()
	t.Run("network", testNetwork)
	if after := use(); after.fds > before.fds {
		t.Errorf("of a network that is closed, files are left open: %d before, %d after", before.fds, after.fds)
	}
}

func testNetwork(t *testing.T) {
	n := testnet.Start(t, 6)
	state := t.TempDir()
	c, err := client.New(t.Context(), client.Config{Network: n.Trust, State: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	server := serve(t)
	load := soak.New(soak.Config{
		Proxies: []soak.Proxy{{Addr: proxy(t, c)}}, TCP: server.TCP(), UDP: server.UDP(),
		Seed: *seed, Bulk: 4 << 20, Idle: time.Second, Patience: patience,
	})
	recovered(t, load)
	run(t, load, time.Second, func(context.Context) {}) // so that pools are filled
	before := use()

	m := directory.New(directory.Config{Network: n.Trust, State: state})
	h := &soak.Hostile{Map: m.Map, Seed: *seed, Dial: func(a netip.AddrPort) (net.Conn, error) { return net.Dial("tcp", a.String()) }}
	run(t, load, *lasting, func(ctx context.Context) {
		var hostile sync.WaitGroup
		hostile.Go(func() { h.Run(ctx) })
		disturb(t, ctx, n)
		hostile.Wait()
	})
	recovered(t, load)
	acts, bursts := h.Counts()
	counts := load.Counts()
	t.Logf("%+v; %d hostile acts, %d bursts", counts, acts, bursts)
	for _, bug := range counts.Bugs {
		t.Error(bug)
	}
	for kind, k := range counts.Kinds {
		if k.Right == 0 {
			t.Errorf("no stream of the kind %s was right", kind)
		}
	}
	if acts == 0 || bursts == 0 || counts.Datagrams == counts.Lost {
		t.Error("not all happened that should")
	}
	after := use()
	for limit := time.Now().Add(patience); (after.heap > before.heap+moreHeap || after.fds > before.fds+moreFDs) && time.Now().Before(limit); after = use() {
		runtime.Gosched()
	}
	t.Logf("at rest: %v before, %v after", before, after)
	if after.heap > before.heap+moreHeap || after.fds > before.fds+moreFDs {
		t.Errorf("at rest it uses more: %v before, %v after", before, after)
	}
}

// run runs the load beside f for a time and waits for both.
func run(t *testing.T, load *soak.Load, d time.Duration, f func(context.Context)) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { load.Run(ctx) })
	f(ctx)
	running.Wait()
}

// recovered waits until the network serves as if nothing had been.
func recovered(t *testing.T, load *soak.Load) {
	t.Helper()
	good := 0
	var last error
	for limit := time.Now().Add(patience); good < 10; {
		if time.Now().After(limit) {
			t.Fatalf("the network does not recover: %v", last)
		}
		if err := load.Probe(t.Context()); err != nil {
			good, last = 0, err
			continue
		}
		good++
	}
}

func serve(t *testing.T) *soak.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := soak.Serve(l, packets, 2*patience)
	t.Cleanup(s.Close)
	return s
}

func proxy(t *testing.T, c *client.Client) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.ServeSOCKS(ctx, l, client.Request{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// disturb restarts nodes, cuts links and slows them down until ctx ends.
func disturb(t *testing.T, ctx context.Context, n *testnet.Network) {
	lots := rand.New(rand.NewPCG(*seed, 1<<32))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(100+lots.IntN(900)) * time.Millisecond):
		}
		i := lots.IntN(len(n.Nodes))
		switch lots.IntN(3) {
		case 0:
			n.Restart(t, i)
		case 1:
			links(t, n.Nodes[i].Addr(), func(fd int) { unix.Shutdown(fd, unix.SHUT_RDWR) }) //nolint:errcheck // it may have ended
		case 2:
			links(t, n.Nodes[i].Addr(), func(fd int) {
				unix.SetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 1<<20) //nolint:errcheck // likewise
			})
		}
	}
}

// links calls f with a copy of each of this process's sockets that is connected
// to the address.
func links(t *testing.T, to netip.AddrPort, f func(fd int)) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		var number int
		if _, err := fmt.Sscan(entry.Name(), &number); err != nil {
			continue
		}
		fd, err := unix.FcntlInt(uintptr(number), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			continue // it was closed meanwhile
		}
		if peer, err := unix.Getpeername(fd); err == nil {
			if a, ok := peer.(*unix.SockaddrInet4); ok && netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) == to {
				f(fd)
			}
		}
		unix.Close(fd)
	}
}

// A usage is what this process uses.
type usage struct {
	heap       uint64
	fds        int
	goroutines int
}

func (u usage) String() string {
	return fmt.Sprintf("%d kB of heap, %d files, %d goroutines", u.heap>>10, u.fds, u.goroutines)
}

func use() usage {
	runtime.GC()
	runtime.GC() // the first leaves what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{heap: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
	all, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range all {
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && !strings.Contains(to, "/proc/") {
			u.fds++
		}
	}
	return u
}
