package testnet

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/authority"
	"safing/port17/witness"
)

// Options say what a network has besides nodes.
type Options struct {
	// Authorities is how many there are, and Threshold how many of them have to
	// agree; 0 means one, and just more than half.
	Authorities, Threshold int
	// Witnesses is how many there are, and WitnessThreshold how many of them have
	// to have seen a map; 0 means none, and just more than half.
	Witnesses, WitnessThreshold int
	// Period and Validity are those of maps; 0 means the defaults for one
	// authority, and 2 s and a minute for several, whose periods are whole seconds.
	Period, Validity time.Duration
	// Scanner tests nodes for the first authority; if nil, it takes all for
	// reachable, as the others do.
	Scanner authority.Scanner
}

func (o Options) withDefaults() Options {
	o.Authorities = max(o.Authorities, 1)
	o.Threshold = cmp.Or(o.Threshold, o.Authorities/2+1)
	if o.Witnesses > 0 {
		o.WitnessThreshold = cmp.Or(o.WitnessThreshold, o.Witnesses/2+1)
	}
	if o.Authorities > 1 {
		o.Period, o.Validity = cmp.Or(o.Period, 2*time.Second), cmp.Or(o.Validity, time.Minute)
	}
	return o
}

// An office is one authority.
type office struct {
	key     ed25519.PrivateKey
	address string
	state   string
	scanner authority.Scanner
	stop    func() // nil while it does not run
}

// found starts the authorities and witnesses of a network.
func found(t testing.TB, o Options) *Network {
	t.Helper()
	o = o.withDefaults()
	n := &Network{Trust: &netmap.Network{
		Name: "test", Threshold: o.Threshold, WitnessThreshold: o.WitnessThreshold, PrivateAddresses: true,
		Period: netmap.Duration(o.Period), Validity: netmap.Duration(o.Validity),
	}}
	listeners := make([]net.Listener, o.Authorities)
	for i := range listeners {
		key, verifier, err := authority.GenerateKey("test")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = listen(t, "127.0.0.1:0")
		a := &office{key: key, address: listeners[i].Addr().String(), state: t.TempDir()}
		if i == 0 {
			a.scanner = o.Scanner
		}
		n.authorities = append(n.authorities, a)
		n.Trust.Authorities = append(n.Trust.Authorities, netmap.Authority{URL: "http://" + a.address, Key: verifier})
	}
	var witnesses []func()
	for i := range o.Witnesses {
		witnesses = append(witnesses, n.addWitness(t, fmt.Sprint("witness", i)))
	}
	for _, start := range witnesses { // when the network is complete
		start()
	}
	for i, l := range listeners {
		n.open(t, i, l)
	}
	return n
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// addWitness names a witness in the network, and returns what starts it.
func (n *Network) addWitness(t testing.TB, name string) (start func()) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := netmap.CosignerKey(name, public)
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := netmap.NewCosigner(name, key, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "127.0.0.1:0")
	n.Trust.Witnesses = append(n.Trust.Witnesses, netmap.Witness{URL: "http://" + l.Addr().String(), Key: verifier})
	n.cosigners = append(n.cosigners, cosigner)
	return func() {
		w, err := witness.New(t.Context(), witness.Config{Name: name, Key: key, Networks: []*netmap.Network{n.Trust}, State: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		serve(t, l, w.Handler())
	}
}

// serve serves until the test ends, or what it returns is called.
func serve(t testing.TB, l net.Listener, h http.Handler) (stop func()) {
	server := &http.Server{Handler: h}
	go server.Serve(l) //nolint:errcheck // it ends when it is closed
	t.Cleanup(func() { server.Close() })
	return func() { server.Close() }
}

// open starts an authority.
func (n *Network) open(t testing.TB, i int, l net.Listener) {
	t.Helper()
	of := n.authorities[i]
	a, err := authority.New(t.Context(), authority.Config{Network: n.Trust, Key: of.key, State: of.state, Scanner: of.scanner})
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	unserve := serve(t, l, a.Handler())
	of.stop = func() {
		unserve()
		a.Close() //nolint:errcheck // its folder is a test's
	}
	t.Cleanup(func() { n.StopAuthority(i) })
}

// StopAuthority ends the authority with the index, if it runs.
func (n *Network) StopAuthority(i int) {
	if stop := n.authorities[i].stop; stop != nil {
		n.authorities[i].stop = nil
		stop()
	}
}

// RestartAuthority starts an authority again that was stopped, where it was.
func (n *Network) RestartAuthority(t testing.TB, i int) {
	t.Helper()
	n.open(t, i, listen(t, n.authorities[i].address))
}
