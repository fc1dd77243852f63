package authority

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	pollsInRound = 4
	maxRejected  = 64 // bodies of votes, of which it is known that they are invalid
)

// An election gathers the votes of one period: it asks the peers for what they
// have accepted, as often as the rounds want it, and keeps what it accepts for
// them. A peer that is slow, silent or hostile costs no other one's time.
type election struct {
	period   time.Time
	quorum   *quorum
	schedule schedule
	log      *slog.Logger

	mu       sync.Mutex
	rounds   *rounds
	bodies   map[digest][]byte
	votes    map[digest]*vote
	rejected map[digest]bool
}

func newElection(q *quorum, s schedule, self note.Signer, period time.Time, log *slog.Logger) *election {
	return &election{
		period: period, quorum: q, schedule: s, log: log, rounds: newRounds(q, self, period),
		bodies: make(map[digest][]byte), votes: make(map[digest]*vote), rejected: make(map[digest]bool),
	}
}

// makeBallot signs our own vote. Two for one period would show that we are
// hostile, so the caller has to write it down first and keep to it.
func makeBallot(v *vote, self note.Signer, network string) (ballot, []byte, error) {
	body, err := v.body()
	if err != nil {
		return ballot{}, nil, err
	}
	h := voteHeader{author: v.author, period: v.period, body: sha256.Sum256(body)}
	b, err := ballot{h, &note.Note{Text: h.text(network)}}.sign(self)
	return b, body, err
}

// add takes our own vote.
func (e *election) add(b ballot, body []byte) error {
	return e.accept(b, body, 1)
}

// accept takes a ballot with its body, if the rounds want it.
func (e *election) accept(b ballot, body []byte, round int) error {
	v, err := parseVote(b.voteHeader, body)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		// Only its author can have made a body with the hash that is not valid.
		if digest(sha256.Sum256(body)) == b.body && len(e.rejected) < maxRejected {
			e.rejected[b.body] = true
		}
		return err
	}
	if !e.rounds.wants(b, round) {
		return nil
	}
	if err := e.rounds.accept(b, round); err != nil {
		return err
	}
	e.bodies[b.body], e.votes[b.body] = body, v
	return nil
}

// gather follows the peers until the last round is over.
func (e *election) gather(ctx context.Context, peers []*peer) {
	ctx, cancel := context.WithDeadline(ctx, e.schedule.votesEnd(e.period))
	defer cancel()
	var asking sync.WaitGroup
	for _, p := range peers {
		asking.Go(func() { e.follow(ctx, p) })
	}
	<-ctx.Done()
	cancel()
	asking.Wait()
}

func (e *election) follow(ctx context.Context, p *peer) {
	ticker := time.NewTicker(e.schedule.round / pollsInRound)
	defer ticker.Stop()
	failed := false
	for {
		err := e.ask(ctx, p)
		if err != nil && !failed && ctx.Err() == nil {
			e.log.Info("an authority's votes could not be read", "authority", p.url, "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ask takes what a peer has accepted.
func (e *election) ask(ctx context.Context, p *peer) error {
	ballots, err := p.ballots(ctx, e.period)
	if err != nil {
		return err
	}
	for _, signed := range ballots {
		b, err := openBallot(e.quorum, []byte(signed))
		if err != nil {
			return err
		}
		body, wanted := e.bodyOf(b)
		if !wanted {
			continue
		}
		if body == nil {
			if body, err = p.vote(ctx, b.body); err != nil {
				return err
			}
		}
		// It counts in the round in which all of it has come.
		if err := e.accept(b, body, e.schedule.roundAt(e.period, time.Now())); err != nil {
			return err
		}
	}
	return nil
}

// bodyOf says whether a ballot would count now, and returns its body if it is
// known.
func (e *election) bodyOf(b ballot) ([]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies[b.body], !e.rejected[b.body] && e.rounds.wants(b, e.schedule.roundAt(e.period, time.Now()))
}

// result returns the votes that count, sorted by author, and the proofs of who
// has cast two.
func (e *election) result() (votes []*vote, proofs [][2]ballot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.rounds.result() {
		votes = append(votes, e.votes[b.body])
	}
	return votes, e.rounds.equivocations()
}

// shown returns what peers are answered.
func (e *election) shown() []ballot {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rounds.ballots()
}

// body returns the body of a vote that was accepted; nil if there is none.
func (e *election) body(hash digest) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies[hash]
}

// serveBallots answers what peer.ballots asks.
func (e *election) serveBallots(w http.ResponseWriter, _ *http.Request) {
	b, err := encodeBallots(e.shown())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Write(b)
}
