package client

import (
	"crypto/ed25519"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

// newEntry returns a node at a listener, where serve answers connections.
func newEntry(t *testing.T, serve func(net.Conn, *tinker.Prekeys)) netmap.Node {
	t.Helper()
	id, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &netmap.Descriptor{ID: netmap.NodeID(id), Name: "n", Owner: "o"}
	d.Addresses = append(d.Addresses, l.Addr().(*net.TCPAddr).AddrPort())
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()})
	if err != nil {
		t.Fatal(err)
	}
	d.Prekeys = keys.Public()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn, keys)
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return netmap.Node{Descriptor: d}
}

// Whoever accepts connections at an entry's address is no entry yet.
func TestEntryIsRememberedOnceProved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.json")
	e := newEntries(path, slog.New(slog.DiscardHandler))
	impostor := newEntry(t, func(conn net.Conn, _ *tinker.Prekeys) {
		io.ReadFull(conn, make([]byte, cell.Size)) //nolint:errcheck // the link tells
		conn.Write(make([]byte, cell.Size))        //nolint:errcheck // the link tells
	})
	l, err := e.link(t.Context(), impostor)
	if err != nil {
		t.Fatal(err)
	}
	<-l.Done()
	if known, _ := e.known(); len(known) > 0 {
		t.Errorf("an impostor is remembered as an entry: %v", known)
	}

	entry := newEntry(t, func(conn net.Conn, keys *tinker.Prekeys) {
		l, err := link.Accept(conn, keys, link.Config{})
		if err != nil {
			t.Error(err)
			return
		}
		<-l.Done()
	})
	if _, err := e.link(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); !e.full(1); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the entry was not remembered")
		}
	}
	e.close()
	again := newEntries(path, slog.New(slog.DiscardHandler))
	if known, _ := again.known(); !slices.Equal(known, []netmap.NodeID{entry.ID}) {
		t.Errorf("the file has the entries %v, want %s", known, entry.ID)
	}
}

// Whoever reads the file while another is written reads all of the one that it
// has opened.
func TestEntriesAreReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.json")
	e := newEntries(path, slog.New(slog.DiscardHandler))
	e.choose(netmap.NodeID{1})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	e.choose(netmap.NodeID{2})
	if got, err := io.ReadAll(opened); err != nil || string(got) != string(before) {
		t.Errorf("the file that was open has %q, %v, want %q", got, err, before)
	}
	if known, _ := newEntries(path, e.log).known(); len(known) != 2 {
		t.Errorf("the new file has %d entries, want 2", len(known))
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v, want one", files, err)
	}
}
