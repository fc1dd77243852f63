package authority

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
)

// A poll is one election among authorities that all are on a wire.
type poll struct {
	t       *testing.T
	quorum  *quorum
	signers []note.Signer
	wire    *wire
	s       schedule
	period  time.Time
}

func newPoll(t *testing.T, n, k int) *poll {
	p := &poll{t: t, wire: newWire()}
	p.quorum, p.signers = assembly(t, n, k)
	p.s = newSchedule(10*time.Minute, p.quorum.rounds())
	p.period = p.s.next(time.Now())
	return p
}

func (p *poll) host(i int) string {
	return strings.TrimPrefix(p.quorum.urls[p.signers[i].KeyHash()], "http://")
}

// vote is one of the authority that says something of a node.
func (p *poll) vote(author int, says string) *vote {
	return &vote{
		author: p.signers[author].KeyHash(), period: p.period,
		opinions: []opinion{{ID: netmap.NodeID{1}, Descriptors: named(says), Reachable: true}},
	}
}

// start makes the election of an honest authority, which serves it.
func (p *poll) start(i int) *election {
	e := newElection(p.quorum, p.s, p.signers[i], p.period, slog.New(slog.DiscardHandler))
	p.serve(i, e.serveBallots, e.body)
	b, body := cast(p.t, p.vote(i, "x"), p.signers[i])
	if err := e.add(b, body); err != nil {
		p.t.Fatal(err)
	}
	return e
}

func (p *poll) serve(i int, ballots http.HandlerFunc, body func(digest) []byte) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/votes", ballots)
	mux.HandleFunc("GET /v1/vote/{hash}", func(w http.ResponseWriter, r *http.Request) {
		hash, err := hex.DecodeString(r.PathValue("hash"))
		if err != nil {
			p.t.Error(err)
		}
		if b := body(digest(hash)); b != nil {
			w.Write(b)
		} else {
			http.NotFound(w, r)
		}
	})
	p.wire.set(p.host(i), mux)
}

// gather runs the elections and returns the votes that each counts.
func (p *poll) gather(all ...*election) (votes [][]*vote, proofs [][][2]ballot) {
	wait(p.t.Context(), time.Until(p.period))
	var running sync.WaitGroup
	for i, e := range all {
		running.Go(func() {
			e.gather(p.t.Context(), newPeers(p.quorum, p.signers[i].KeyHash(), p.wire.from(p.host(i))))
		})
	}
	running.Wait()
	for _, e := range all {
		v, pr := e.result()
		votes, proofs = append(votes, v), append(proofs, pr)
	}
	return votes, proofs
}

func TestElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoll(t, 3, 2)
		votes, _ := p.gather(p.start(0), p.start(1), p.start(2))
		for i, v := range votes {
			if len(v) != 3 {
				t.Errorf("authority %d counts %d votes", i, len(v))
			}
		}
		if late := time.Since(p.period); late != 2*p.s.round {
			t.Errorf("it took %s, two rounds take %s", late, 2*p.s.round)
		}
	})
}

// One who is silent delays nobody.
func TestElectionWithoutOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoll(t, 3, 2)
		p.wire.cutOff(p.host(2), true)
		votes, _ := p.gather(p.start(0), p.start(1))
		for i, v := range votes {
			if len(v) != 2 {
				t.Errorf("authority %d counts %d votes", i, len(v))
			}
		}
		if late := time.Since(p.period); late != 2*p.s.round {
			t.Errorf("it took %s, two rounds take %s", late, 2*p.s.round)
		}
	})
}

// Others agree on the vote of one who shows it to one of them at the last
// moment, and count none of one who casts two.
func TestHostileElection(t *testing.T) {
	for name, test := range map[string]struct {
		shows func(p *poll, asked int) []string // what the hostile one says to vote
		want  int                               // votes that count
		proof bool
	}{
		"votes to one only": {func(p *poll, asked int) []string {
			if asked == 0 && p.s.roundAt(p.period, time.Now()) == 1 {
				return []string{"x"}
			}
			return nil
		}, 3, false},
		"votes in the last round": {func(p *poll, asked int) []string {
			if p.s.roundAt(p.period, time.Now()) == 2 {
				return []string{"x"}
			}
			return nil
		}, 2, false},
		"votes twice":                 {func(*poll, int) []string { return []string{"x", "y"} }, 2, true},
		"votes twice, to two":         {func(_ *poll, asked int) []string { return []string{string(rune('x' + asked))} }, 2, true},
		"votes thrice":                {func(*poll, int) []string { return []string{"x", "y", "z"} }, 2, true},
		"shows a vote and no body":    {func(*poll, int) []string { return []string{"withheld"} }, 2, false},
		"votes twice, one is a bluff": {func(*poll, int) []string { return []string{"x", "withheld"} }, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPoll(t, 3, 2)
				honest := []*election{p.start(0), p.start(1)}
				p.startHostile(test.shows)
				votes, proofs := p.gather(honest...)
				for i, v := range votes {
					if len(v) != test.want || len(proofs[i]) == 1 != test.proof {
						t.Errorf("authority %d counts %d votes and has %d proofs, want %d and %v", i, len(v), len(proofs[i]), test.want, test.proof)
					}
				}
			})
		})
	}
}

// Who hands out another body than that of a vote does not make the vote invalid.
func TestWrongBody(t *testing.T) {
	p := newPoll(t, 3, 2)
	e := p.start(0)
	b, body := cast(t, p.vote(1, "x"), p.signers[1])
	if err := e.accept(b, []byte("another"), 1); !errors.Is(err, errVote) {
		t.Errorf("another body: %v", err)
	}
	if err := e.accept(b, body, 1); err != nil {
		t.Error(err)
	}
	junk := []byte("junk")
	bad := sealed(t, voteHeader{author: p.signers[2].KeyHash(), period: p.period, body: sha256.Sum256(junk)}, p.signers[2])
	if err := e.accept(bad, junk, 1); !errors.Is(err, errVote) {
		t.Errorf("junk: %v", err)
	}
	if _, wanted := e.bodyOf(bad); wanted {
		t.Error("junk is asked for again")
	}
	if votes, _ := e.result(); len(votes) != 2 {
		t.Errorf("%d votes count", len(votes))
	}
}

// startHostile makes the last authority show to each of the others what it likes.
func (p *poll) startHostile(shows func(p *poll, asked int) []string) {
	bodies := make(map[digest][]byte)
	ballots := make(map[string]ballot)
	for _, says := range []string{"x", "y", "z", "withheld"} {
		b, body := cast(p.t, p.vote(2, says), p.signers[2])
		ballots[says] = b
		if says != "withheld" {
			bodies[b.body] = body
		}
	}
	for asked := range 2 {
		mux := http.NewServeMux()
		p.serveHostile(mux, asked, ballots, bodies, shows)
		p.wire.setFor(p.host(asked), p.host(2), mux)
	}
}

func (p *poll) serveHostile(mux *http.ServeMux, asked int, ballots map[string]ballot, bodies map[digest][]byte, shows func(*poll, int) []string) {
	mux.HandleFunc("GET /v1/votes", func(w http.ResponseWriter, _ *http.Request) {
		var all []ballot
		for _, says := range shows(p, asked) {
			all = append(all, ballots[says])
		}
		b, err := encodeBallots(all)
		if err != nil {
			p.t.Error(err)
		}
		w.Write(b)
	})
	mux.HandleFunc("GET /v1/vote/{hash}", func(w http.ResponseWriter, r *http.Request) {
		hash, err := hex.DecodeString(r.PathValue("hash"))
		if err != nil {
			p.t.Error(err)
		}
		w.Write(bodies[digest(hash)])
	})
}
