package authority

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/witness"
	"safing/tinker"
)

// A booth is where something is served, and may be closed for a while.
type booth struct {
	t        *testing.T
	address  string
	listener net.Listener // nil while it is closed, or served
}

func newBooth(t *testing.T) *booth {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &booth{t, l.Addr().String(), l}
}

func (b *booth) url() string { return "http://" + b.address }

// serve returns what ends it.
func (b *booth) serve(h http.Handler) (end func()) {
	b.t.Helper()
	l := b.listener
	if b.listener = nil; l == nil {
		var err error
		if l, err = net.Listen("tcp", b.address); err != nil {
			b.t.Fatal(err)
		}
	}
	server := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return func() {
		server.Close()
		<-served
	}
}

// A town is three authorities and three witnesses on sockets, in real time.
type town struct {
	t         *testing.T
	network   *netmap.Network
	folder    string
	keys      []ed25519.PrivateKey
	booths    []*booth
	ends      []func() // of each authority that runs
	witnesses []func()
	client    *directory.Client
	prekeys   []tinker.Prekey
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{t: t, folder: t.TempDir(), ends: make([]func(), 3), network: &netmap.Network{
		Name: "test", Threshold: 2, WitnessThreshold: 2, PrivateAddresses: true, Period: netmap.Duration(2 * time.Second),
	}}
	for range 3 {
		key, verifier, err := GenerateKey("test")
		if err != nil {
			t.Fatal(err)
		}
		b := newBooth(t)
		w.keys, w.booths = append(w.keys, key), append(w.booths, b)
		w.network.Authorities = append(w.network.Authorities, netmap.Authority{URL: b.url(), Key: verifier})
	}
	for i := range 3 {
		w.addWitness(fmt.Sprint("witness", i))
	}
	prekeys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w.prekeys = prekeys.Public()
	t.Cleanup(func() {
		for i := range w.ends {
			w.stop(i)
		}
		for _, end := range w.witnesses {
			end()
		}
	})
	for i := range 3 {
		w.start(i)
	}
	w.client = directory.New(directory.Config{Network: w.network})
	return w
}

// addWitness runs a witness, which knows the authorities and no other witness.
func (w *town) addWitness(name string) {
	w.t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	verifier, err := netmap.CosignerKey(name, public)
	if err != nil {
		w.t.Fatal(err)
	}
	watched := *w.network
	watched.WitnessThreshold, watched.Witnesses = 0, nil
	s, err := witness.New(w.t.Context(), witness.Config{Name: name, Key: key, State: filepath.Join(w.folder, name), Networks: []*netmap.Network{&watched}})
	if err != nil {
		w.t.Fatal(err)
	}
	b := newBooth(w.t)
	end := b.serve(s.Handler())
	w.witnesses = append(w.witnesses, func() {
		end()
		s.Close()
	})
	w.network.Witnesses = append(w.network.Witnesses, netmap.Witness{URL: b.url(), Key: verifier})
}

func (w *town) start(i int) {
	w.t.Helper()
	a, err := New(w.t.Context(), Config{Network: w.network, Key: w.keys[i], State: filepath.Join(w.folder, fmt.Sprint(i))})
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.booths[i].serve(a.Handler())
	w.ends[i] = func() {
		end()
		if err := a.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *town) stop(i int) {
	if w.ends[i] != nil {
		w.ends[i]()
		w.ends[i] = nil
	}
}

// publish publishes a node as nodes do.
func (w *town) publish(seed byte) {
	w.t.Helper()
	signed := descriptor(w.t, seed, time.Now())
	if err := w.client.Publish(w.t.Context(), signed); err != nil {
		w.t.Fatal(err)
	}
	d, err := netmap.OpenDescriptor(signed)
	if err != nil {
		w.t.Fatal(err)
	}
	k := &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: w.prekeys, Published: time.Now()}
	keys, err := k.Sign(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.PublishKeys(w.t.Context(), keys); err != nil {
		w.t.Fatal(err)
	}
}

// await publishes nodes until all authorities that run serve a map after the
// sequence with all of them, and returns the least of their numbers.
func (w *town) await(after uint64, nodes ...byte) uint64 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 40*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		for _, n := range nodes {
			w.publish(n)
		}
		least := uint64(0)
		for i := range w.ends {
			if w.ends[i] == nil {
				continue
			}
			m, err := w.network.Verify(w.fetch(ctx, w.booths[i].url()), time.Now())
			if err != nil || m.Sequence <= after || len(m.Nodes) != len(nodes) {
				least = 0
				break
			}
			if least == 0 || m.Sequence < least {
				least = m.Sequence
			}
		}
		if least > 0 {
			return least
		}
		wait(ctx, 500*time.Millisecond)
	}
	w.t.Fatalf("no map after %d with %d nodes at all authorities", after, len(nodes))
	return 0
}

func (w *town) fetch(ctx context.Context, url string) []byte {
	b, err := (&peer{url: url, http: http.DefaultClient}).newest(ctx, 0)
	if err != nil {
		return nil
	}
	return b
}

// Maps keep coming on real sockets, with witnesses, while any one authority and
// one witness are down.
func TestSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some periods of two seconds")
	}
	w := newTown(t)
	n := w.await(0, 1)
	w.stop(int(n) % 3)
	n = w.await(n, 1, 2)
	w.witnesses[2]()
	w.witnesses = w.witnesses[:2]
	n = w.await(n+1, 1, 2)
	for i := range w.ends {
		if w.ends[i] == nil {
			w.start(i)
		}
	}
	w.await(n+1, 1, 2, 3)
}
