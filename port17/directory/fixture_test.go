package directory

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

// A press signs maps of a network.
type press struct {
	network *netmap.Network
	signers []note.Signer
}

// newPress makes a network with so many authorities, all of which have to sign.
func newPress(t testing.TB, authorities int) *press {
	t.Helper()
	p := &press{network: &netmap.Network{Name: "test", Threshold: authorities, PrivateAddresses: true}}
	for range authorities {
		skey, vkey, err := note.GenerateKey(rand.Reader, "test")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := note.NewSigner(skey)
		if err != nil {
			t.Fatal(err)
		}
		p.signers = append(p.signers, signer)
		p.network.Authorities = append(p.network.Authorities, netmap.Authority{URL: "http://127.0.0.1:1", Key: vkey})
	}
	return p
}

// print returns a signed map that became valid so long ago, for three hours.
func (p *press) print(t testing.TB, sequence uint64, ago time.Duration, nodes ...netmap.Node) []byte {
	t.Helper()
	return p.printBy(t, p.signers, sequence, ago, nodes...)
}

// printFor is print for another time than three hours.
func (p *press) printFor(t testing.TB, validity time.Duration, sequence uint64, ago time.Duration) []byte {
	t.Helper()
	return p.sign(t, p.signers, validity, sequence, ago)
}

func (p *press) printBy(t testing.TB, signers []note.Signer, sequence uint64, ago time.Duration, nodes ...netmap.Node) []byte {
	t.Helper()
	return p.sign(t, signers, netmap.DefaultValidity, sequence, ago, nodes...)
}

func (p *press) sign(t testing.TB, signers []note.Signer, validity time.Duration, sequence uint64, ago time.Duration, nodes ...netmap.Node) []byte {
	t.Helper()
	from := time.Now().Add(-ago).UTC().Truncate(time.Second)
	m, err := netmap.New("test", sequence, from, from.Add(validity), nodes)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := netmaptest.Sign(m, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// serve serves with a real socket, and returns the URL.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// answering serves the bytes as the map.
func answering(b []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(b) })
}

// at returns the network with its authority at the URL, and mirrors.
func (p *press) at(url string, mirrors ...string) *netmap.Network {
	n := *p.network
	n.Authorities = append([]netmap.Authority{}, n.Authorities...)
	for i := range n.Authorities {
		n.Authorities[i].URL = url
	}
	n.Mirrors = mirrors
	return &n
}

// A logbook is what was logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Writer(l), nil)) }
