package directory

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"safing/netmap"
)

// follow returns a client of the network that has map 5, and its folder.
func follow(t *testing.T, p *press, n *netmap.Network) (*Client, string) {
	t.Helper()
	dir := t.TempDir()
	c := New(Config{Network: n, State: dir})
	if _, err := c.take(p.print(t, 5, time.Hour)); err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// What a hostile source answers with is refused, each kind with words of its
// own; the client keeps what it has, gets the map from the next source, and
// refuses the same after a restart.
func TestRefused(t *testing.T) {
	p := newPress(t, 2)
	good := p.print(t, 6, time.Minute)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		answer http.Handler
		want   error
		text   string
	}{
		"roll-back": {answering(p.print(t, 4, time.Minute)), ErrRollback, "it is map 4, and map 5 was seen"},
		"expired":   {answering(p.print(t, 6, 5*time.Hour)), netmap.ErrExpired, "and map 6 was valid until"},
		"skewed":    {answering(p.print(t, 6, -2*time.Hour-30*time.Second)), netmap.ErrNotYet, "it is slow by at least 2h0m"},
		"split":     {answering(p.print(t, 5, time.Minute)), ErrSplit, "what proves it is in"},
		"threshold": {answering(p.printBy(t, p.signers[:1], 6, time.Minute)), netmap.ErrSignature, "not signed by enough of the network's authorities"},
		"forged":    {answering(forged), netmap.ErrMap, "not the one that was signed"},
		"garbage":   {answering([]byte("<html>")), netmap.ErrMap, "header"},
		"endless":   {http.HandlerFunc(endless), netmap.ErrTooLarge, "more than the 67108864 bytes that are allowed"},
		"announced": {http.HandlerFunc(announced), netmap.ErrTooLarge, "more than the 67108864 bytes that are allowed"},
		"refusing":  {http.NotFoundHandler(), nil, "404 Not Found: 404 page not found"},
	} {
		t.Run(name, func(t *testing.T) {
			bad, fine := serve(t, c.answer), serve(t, answering(good))
			client, dir := follow(t, p, p.at(bad))
			refuse := func(client *Client) {
				t.Helper()
				m, err := client.Fetch(t.Context())
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("map %v, error %v, want %q in it", m, err, c.text)
				}
				if m := client.Map(); m == nil || m.Sequence != 5 {
					t.Errorf("it has map %v, want 5", m)
				}
			}
			refuse(client)
			refuse(New(Config{Network: p.at(bad), State: dir}))
			var log logbook
			m, err := New(Config{Network: p.at(fine, bad), State: dir, Log: log.logger()}).Fetch(t.Context())
			if err != nil || m.Sequence != 6 {
				t.Errorf("from the next source: map %v, %v", m, err)
			}
			if c.want != nil && !strings.Contains(log.String(), "a map was refused") {
				t.Errorf("nothing is said about it: %s", &log)
			}
		})
	}
}

// endless never stops.
func endless(w http.ResponseWriter, _ *http.Request) {
	for chunk := make([]byte, 1<<20); ; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// announced says that it has a lot to say.
func announced(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(netmap.MaxMap+1))
	w.WriteHeader(http.StatusOK)
}

// A map older than the last is refused even if that has expired, or is gone.
func TestRollBackAfterRestart(t *testing.T) {
	p := newPress(t, 1)
	dir := t.TempDir()
	if _, err := New(Config{Network: p.network, State: dir}).take(p.print(t, 7, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, mapFile)); err != nil {
		t.Fatal(err)
	}
	c := New(Config{Network: p.network, State: dir})
	if _, err := c.take(p.print(t, 6, time.Second)); !errors.Is(err, ErrRollback) {
		t.Errorf("an older map: %v", err)
	}
	if _, err := c.take(p.print(t, 7, time.Second)); !errors.Is(err, ErrSplit) {
		t.Errorf("another map: %v", err)
	}
	if _, err := c.take(p.print(t, 8, time.Second)); err != nil {
		t.Error(err)
	}
}

// Of two maps of one number, what proves that there are two is kept, once.
func TestSplitIsProven(t *testing.T) {
	p := newPress(t, 1)
	c, dir := follow(t, p, p.network)
	if _, err := c.take(p.print(t, 9, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.take(p.print(t, 5, time.Minute)); !errors.Is(err, ErrSplit) {
			t.Fatal(err)
		}
	}
	var heads []string
	for _, n := range []string{"1", "2"} {
		b, err := os.ReadFile(filepath.Join(dir, splitFile+"5-"+n))
		if err != nil {
			t.Fatal(err)
		}
		h, err := netmap.ParseHeader(string(headerOf(b)))
		if err != nil || h.Sequence != 5 || !strings.Contains(string(b), "\n— test ") {
			t.Errorf("head %s: %v", b, err)
		}
		heads = append(heads, string(headerOf(b)))
	}
	if heads[0] == heads[1] {
		t.Error("both heads are the same")
	}
	for n := uint64(10); n < 40; n++ {
		c.take(p.print(t, n, time.Minute)) //nolint:errcheck // the next line needs it
		if _, err := c.take(p.print(t, n, time.Hour)); !errors.Is(err, ErrSplit) {
			t.Fatal(err)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(dir, splitFile+"*")); err != nil || len(kept) != 2*maxSplits {
		t.Errorf("%d files, %v", len(kept), err)
	}
}

// What is on disk is used at once if it is valid, and junk never.
func TestDisk(t *testing.T) {
	p := newPress(t, 1)
	c, dir := follow(t, p, p.network)
	if again := New(Config{Network: p.network, State: dir}); again.Map() == nil || again.Map().Sequence != 5 {
		t.Errorf("map on disk: %v", again.Map())
	}
	if err := os.WriteFile(filepath.Join(dir, mapFile), p.print(t, 4, time.Minute), 0o600); err != nil {
		t.Fatal(err)
	}
	if m := New(Config{Network: p.network, State: dir}).Map(); m != nil {
		t.Errorf("map %d, older than what was seen", m.Sequence)
	}
	if _, err := c.take(p.print(t, 6, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, mapFile), p.print(t, 9, 4*time.Hour), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := New(Config{Network: p.network, State: dir}); c.Map() != nil || c.newest() == nil {
		t.Error("an expired map is not there, or taken for valid")
	}
	for _, name := range []string{mapFile, seenFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
		if m := New(Config{Network: p.network, State: dir}).Map(); m != nil {
			t.Error("junk on disk was believed")
		}
	}
}

func FuzzDecodeSeen(f *testing.F) {
	p := newPress(f, 1)
	var s seen
	for n := range uint64(3) {
		head, _, _ := bytes.Cut(p.print(f, n+1, 0), []byte{0})
		s.add(n+1, head)
	}
	f.Add(s.encode())
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSeen(b)
		if err != nil {
			return
		}
		again, err := decodeSeen(s.encode())
		if err != nil || len(again.heads) != len(s.heads) || again.highest() != s.highest() {
			t.Errorf("%d heads to %d, read again %d to %d, %v", len(s.heads), s.highest(), len(again.heads), again.highest(), err)
		}
	})
}
