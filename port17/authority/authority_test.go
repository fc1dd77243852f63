package authority

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/tinker"
)

type fixture struct {
	config  Config
	network *netmap.Network
	a       *Authority
	client  *directory.Client
}

func start(t *testing.T) *fixture {
	t.Helper()
	skey, vkey, err := GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{network: &netmap.Network{Name: "test", Threshold: 1, PrivateAddresses: true, Authorities: []netmap.Authority{{Key: vkey}}}}
	f.config = Config{Network: f.network, Key: skey, State: t.TempDir(), Limits: Limits{NodeRate: 1000}}
	f.run(t)
	return f
}

func (f *fixture) run(t *testing.T) {
	t.Helper()
	var err error
	if f.a, err = New(t.Context(), f.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.a.Close() })
	server := httptest.NewServer(f.a.Handler())
	t.Cleanup(server.Close)
	f.network.Authorities[0].URL = server.URL
	f.client = directory.New(directory.Config{Network: f.network, State: f.config.State})
}

func descriptor(t *testing.T, seed byte, published time.Time, changes ...func(d *netmap.Descriptor)) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	d := &netmap.Descriptor{
		ID: netmap.NodeID(key.Public().(ed25519.PublicKey)), Name: "n", Owner: "o",
		Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, Published: published,
	}
	for _, change := range changes {
		change(d)
	}
	signed, err := d.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// signKeys returns those of the node that descriptor makes.
func signKeys(t *testing.T, seed byte, published time.Time) []byte {
	t.Helper()
	d, err := netmap.OpenDescriptor(descriptor(t, seed, published))
	if err != nil {
		t.Fatal(err)
	}
	prekeys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	k := &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: prekeys.Public(), Published: published}
	signed, err := k.Sign(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestPublishAndWatch(t *testing.T) {
	f := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	maps := make(chan *netmap.Map, 16)
	ended := make(chan error, 1)
	go func() { ended <- f.client.Watch(ctx, func(m *netmap.Map) { maps <- m }) }()
	var last uint64
	for n := range byte(3) {
		if err := f.client.Publish(t.Context(), descriptor(t, n, time.Now())); err != nil {
			t.Fatal(err)
		}
		if err := f.client.PublishKeys(t.Context(), signKeys(t, n, time.Now())); err != nil {
			t.Fatal(err)
		}
		for m := range maps {
			if m.Sequence < last {
				t.Fatalf("map %d after map %d", m.Sequence, last)
			}
			last = m.Sequence
			if len(m.Nodes) == int(n)+1 {
				break
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	// After a restart there are the same nodes, and a higher number.
	if err := f.a.Close(); err != nil {
		t.Fatal(err)
	}
	f.run(t)
	m, err := f.client.Fetch(t.Context())
	if err != nil || len(m.Nodes) != 3 || m.Sequence <= last {
		t.Errorf("after a restart: %+v, %v", m, err)
	}
}

func TestRefusals(t *testing.T) {
	f := start(t)
	now := time.Now()
	if err := f.client.Publish(t.Context(), descriptor(t, 1, now)); err != nil {
		t.Fatal(err)
	}
	broken := descriptor(t, 2, now)
	broken[3] ^= 1
	for want, signed := range map[string][]byte{
		"newer descriptor":       descriptor(t, 1, now.Add(-2*time.Second)),
		"check the node's clock": descriptor(t, 2, now.Add(-time.Hour)),
		"signature":              broken,
		"longer than":            make([]byte, netmap.MaxDescriptor+1),
	} {
		if err := f.client.Publish(t.Context(), signed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if err := f.client.PublishKeys(t.Context(), signKeys(t, 1, now)); err != nil {
		t.Fatal(err)
	}
	foreign := signKeys(t, 1, now)
	foreign[3] ^= 1
	for want, signed := range map[string][]byte{
		"newer keys":              signKeys(t, 1, now.Add(-2*time.Second)),
		"check the node's clock":  signKeys(t, 1, now.Add(time.Hour)),
		"publish that first":      signKeys(t, 2, now),
		"signature":               foreign,
		"longer than 16384 bytes": make([]byte, netmap.MaxKeys+1),
	} {
		if err := f.client.PublishKeys(t.Context(), signed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestClientBelievesNoOther(t *testing.T) {
	f := start(t)
	if _, err := f.client.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := start(t)
	f.network.Authorities[0].URL = other.network.Authorities[0].URL
	fresh := directory.New(directory.Config{Network: f.network})
	if _, err := fresh.Fetch(t.Context()); !errors.Is(err, netmap.ErrSignature) {
		t.Errorf("a map of another authority: %v, want %v", err, netmap.ErrSignature)
	}
}

func TestClientKeepsTheMapOnDisk(t *testing.T) {
	f := start(t)
	m, err := f.client.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again := directory.New(directory.Config{Network: f.network, State: f.config.State}).Map(); again == nil || again.Sequence != m.Sequence {
		t.Errorf("map on disk: %+v", again)
	}
	if err := os.WriteFile(filepath.Join(f.config.State, "map"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := directory.New(directory.Config{Network: f.network, State: f.config.State}).Map(); again != nil {
		t.Error("junk on disk was believed")
	}
}
