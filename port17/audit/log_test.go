package audit_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/sqlite"
	"safing/internal/tlog"
	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/audit"
)

// An authority of one, with its log.
type authority struct {
	t       *testing.T
	network *netmap.Network
	signer  note.Signer
	db      *sql.DB
	newest  []byte // checkpoint
	sent    func(path string, b []byte) []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, sent: func(_ string, b []byte) []byte { return b }}
	a.network, a.signer = newNetwork(t)
	a.db = a.newLog()
	h := http.StripPrefix("/log", tlog.Handler(logs{a}, func(context.Context) ([]byte, error) { return a.newest, nil }, nil))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		w.WriteHeader(answer.Code)
		w.Write(a.sent(r.URL.Path, answer.Body.Bytes()))
	}))
	t.Cleanup(s.Close)
	a.network.Authorities[0].URL = s.URL
	return a
}

func newNetwork(t testing.TB) (*netmap.Network, note.Signer) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1", Key: public}}}, signer
}

// logs reads the log that the authority has now.
type logs struct{ *authority }

func (l logs) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return l.db.QueryContext(ctx, query, args...)
}

func (l logs) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return l.db.QueryRowContext(ctx, query, args...)
}

func (a *authority) newLog() *sql.DB {
	a.t.Helper()
	db, err := sqlite.Open(a.t.Context(), filepath.Join(a.t.TempDir(), "log.db"), []string{tlog.Schema})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { db.Close() })
	return db
}

// publish appends maps up to the sequence, and returns the last one signed.
func (a *authority) publish(sequence uint64, filler string) (signed []byte) {
	a.t.Helper()
	ctx := a.t.Context()
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	size, err := tlog.Size(ctx, tx)
	if err != nil {
		a.t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	world := netmaptest.World(1, 3)
	m, err := netmap.New("test", sequence, now, now.Add(time.Hour), world.Nodes)
	if err != nil {
		a.t.Fatal(err)
	}
	body, _, err := m.Encode()
	if err != nil {
		a.t.Fatal(err)
	}
	header := m.Header(body).String()
	for ; size < int64(sequence); size++ {
		if _, err := tlog.Append(ctx, tx, []byte(filler)); err != nil {
			a.t.Fatal(err)
		}
	}
	if _, err := tlog.Append(ctx, tx, []byte(header)); err != nil {
		a.t.Fatal(err)
	}
	tree, err := tlog.At(ctx, tx)
	if err != nil {
		a.t.Fatal(err)
	}
	root, err := tree.Root(ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	proof, err := tree.Prove(ctx, int64(sequence))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.newest, err = netmap.SignCheckpoint(netmap.MakeCheckpoint("test", tree.Size(), root), a.signer); err != nil {
		a.t.Fatal(err)
	}
	if signed, err = netmap.AssembleMap(header, proof, a.newest, body); err != nil {
		a.t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		a.t.Fatal(err)
	}
	return signed
}

func (a *authority) check(signed []byte) *audit.Report {
	a.t.Helper()
	r := audit.Check(a.network, signed, time.Now())
	if r.Err != nil {
		a.t.Fatal(r.Err)
	}
	return r
}

// A log proves that maps are in it, and that it has only grown.
func TestLogGrows(t *testing.T) {
	a := newAuthority(t)
	old := a.check(a.publish(300, "a leaf\n"))
	next := a.check(a.publish(700, "another\n"))
	a.publish(1000, "a third\n")
	next.CheckLogs(t.Context())
	next.CheckFollows(t.Context(), old)
	old.CheckFollows(t.Context(), next)
	if next.Err != nil || old.Err != nil {
		t.Errorf("%v, %v", next.Err, old.Err)
	}
	last, before := next.Steps[len(next.Steps)-1], next.Steps[len(next.Steps)-2]
	if !strings.Contains(last.Text, "the log of map 700 goes on from that of map 300, as http") || last.Level != audit.OK {
		t.Errorf("%+v", last)
	}
	if !strings.HasSuffix(before.Text, "its log of 1001 leaves goes on from the map's 701") || before.Level != audit.OK {
		t.Errorf("%+v", before)
	}
}

// Two logs of one network are noticed, whoever signs them.
func TestLogSplits(t *testing.T) {
	a := newAuthority(t)
	one := a.check(a.publish(300, "a leaf\n"))
	a.db = a.newLog()
	same := a.check(a.publish(300, "another leaf\n"))
	other := a.check(a.publish(500, "another leaf\n"))
	for _, r := range []*audit.Report{other, same} {
		r.CheckFollows(t.Context(), one)
		if !errors.Is(r.Err, audit.ErrLog) || r.Steps[len(r.Steps)-1].Level != audit.Refused {
			t.Errorf("%v", r.Err)
		}
	}
	one.CheckLogs(t.Context())
	if !errors.Is(one.Err, audit.ErrLog) {
		t.Errorf("the log that is served is another one: %v", one.Err)
	}
}

// A log that is shorter than what was signed keeps something back.
func TestLogKeepsBack(t *testing.T) {
	a := newAuthority(t)
	a.publish(300, "a leaf\n")
	checkpoint := a.newest
	next := a.check(a.publish(500, "a leaf\n"))
	a.newest = checkpoint
	if next.CheckLogs(t.Context()); !errors.Is(next.Err, audit.ErrLog) || !strings.Contains(next.Err.Error(), "keeps newer maps back") {
		t.Errorf("%v", next.Err)
	}
}

// Nothing that the server of a log says is believed.
func TestLogLies(t *testing.T) {
	for name, lie := range map[string]func(path string, b []byte) []byte{
		"tiles": func(path string, b []byte) []byte {
			if strings.Contains(path, "/tile/") {
				b[0] ^= 1
			}
			return b
		},
		"short tiles": func(path string, b []byte) []byte {
			if strings.Contains(path, "/tile/") {
				b = b[:len(b)-1]
			}
			return b
		},
		"checkpoint": func(path string, b []byte) []byte {
			if strings.HasSuffix(path, "checkpoint") {
				b[6] ^= 1
			}
			return b
		},
		"endless": func(path string, b []byte) []byte { return make([]byte, 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			old := a.check(a.publish(300, "a leaf\n"))
			next := a.check(a.publish(700, "another\n"))
			a.sent = lie
			next.CheckFollows(t.Context(), old)
			if last := next.Steps[len(next.Steps)-1]; last.Level != audit.Warning || next.Err != nil {
				t.Errorf("%+v, %v", last, next.Err)
			}
		})
	}
}
