package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	log "safing/internal/tlog"
	"safing/netmap"
)

// enter makes a candidate the one that we sign and show. One of an earlier
// period, which was not published in time, gives way: unless enough authorities
// have signed it, for then it may be out somewhere.
func (a *Authority) enter(ctx context.Context, c *candidate) error {
	if old := a.pendingNow(); old != nil {
		same, err := a.stillNext(ctx, old)
		if err != nil {
			return err
		}
		if same && old.period.Equal(c.period) {
			return nil
		}
		if same {
			a.exchangeOnce(ctx)
			if a.signedByEnough() {
				return nil
			}
			a.recall(ctx)
			if a.signedByEnough() {
				return nil
			}
		}
	}
	a.appending.Lock()
	defer a.appending.Unlock()
	if same, err := a.stillNext(ctx, c); err != nil || !same {
		return err // another map was published meanwhile
	}
	return a.setPendingLocked(ctx, c)
}

// stillNext says whether the candidate is still the next leaf of the log.
func (a *Authority) stillNext(ctx context.Context, c *candidate) (bool, error) {
	sequence, err := c.sequence()
	if err != nil {
		return false, err
	}
	size, err := log.Size(ctx, a.store.db)
	return sequence == uint64(size), err
}

// setPendingLocked makes a candidate the pending one. The caller holds appending.
func (a *Authority) setPendingLocked(ctx context.Context, c *candidate) error {
	if err := a.store.putCandidate(ctx, c); err != nil {
		return err
	}
	a.mu.Lock()
	a.pending = c
	a.mu.Unlock()
	a.progress()
	return nil
}

// progress wakes who waits for signatures.
func (a *Authority) progress() {
	select {
	case a.progressed <- struct{}{}:
	default:
	}
}

func (a *Authority) pendingNow() *candidate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending
}

// signedByEnough says whether as many authorities have signed the candidate as
// have to.
func (a *Authority) signedByEnough() bool {
	c := a.pendingNow()
	if c == nil {
		return false
	}
	_, err := a.network.OpenCheckpoint(c.checkpoint)
	return err == nil
}

// complete gathers signatures and cosignatures for the candidate, and publishes
// it, until the map of the period is out or the context ends.
func (a *Authority) complete(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, p := range a.peers {
		asking.Go(func() {
			for ctx.Err() == nil {
				a.exchange(ctx, p)
				wait(ctx, a.pollEvery())
			}
		})
	}
	var err error
	for {
		if c := a.pendingNow(); c == nil {
			return nil
		}
		if err = a.finish(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-a.progressed:
		case <-time.After(a.pollEvery()):
		}
	}
}

// finish publishes the candidate if enough authorities have signed it and enough
// witnesses do.
func (a *Authority) finish(ctx context.Context) error {
	c := a.pendingNow()
	if c == nil {
		return nil
	}
	if _, err := a.network.OpenCheckpoint(c.checkpoint); err != nil {
		return err
	}
	if err := a.witness(ctx, c); err != nil {
		return err
	}
	return a.publish(ctx)
}

// exchangeOnce asks all other authorities for their signatures, until there are
// enough.
func (a *Authority) exchangeOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(a.schedule.round, askTimeout))
	defer cancel()
	var asking sync.WaitGroup
	for _, p := range a.peers {
		asking.Go(func() {
			a.exchange(ctx, p)
			if a.signedByEnough() {
				cancel()
			}
		})
	}
	asking.Wait()
}

// recall adds signatures that others gave to our candidate and took to witnesses,
// but not to us. Witnesses that have cosigned it take no other one of its number,
// so if all who know those signatures are away, we could not go on without them.
func (a *Authority) recall(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(a.schedule.round, askTimeout))
	defer cancel()
	notes := a.witnesses.Known(ctx)
	a.appending.Lock()
	defer a.appending.Unlock()
	for _, note := range notes {
		c := a.pendingNow()
		if c == nil {
			return
		}
		text := c.checkpoint[:bytes.Index(c.checkpoint, []byte("\n\n"))+2] // an empty line ends a note's text
		if !bytes.HasPrefix(note, text) {
			continue // of another tree
		}
		if err := a.addSignaturesLocked(context.WithoutCancel(ctx), c, note); err != nil {
			a.log.Info("a witness knows no valid checkpoint", "error", err)
		}
	}
}

// exchange asks another authority for the signatures that it has.
func (a *Authority) exchange(ctx context.Context, p *peer) {
	c := a.pendingNow()
	if c == nil {
		return
	}
	sequence, err := c.sequence()
	if err != nil {
		return // it was read before
	}
	b, err := p.candidate(ctx, int64(sequence)+1)
	if err == nil && len(b) > 0 {
		err = a.takeCandidate(ctx, p, b)
	}
	if err != nil && ctx.Err() == nil {
		a.log.Debug("no signature from an authority", "authority", p.url, "error", err)
	}
}

// takeCandidate takes the signatures that a peer has gathered. A candidate that
// enough have signed takes the place of ours.
func (a *Authority) takeCandidate(ctx context.Context, p *peer, b []byte) error {
	theirs, err := a.readCandidate(ctx, b)
	if err != nil {
		return err
	}
	if merged, err := a.merge(ctx, theirs); merged || err != nil {
		return err
	}
	if _, err := a.network.OpenCheckpoint(theirs.checkpoint); err != nil {
		return fmt.Errorf("the authority has signed another map: %w", err)
	}
	h, err := netmap.ParseHeader(theirs.header)
	if err != nil {
		return err
	}
	body, err := p.body(ctx, h.Body)
	if err != nil {
		return err
	}
	if err := theirs.readBody(body); err != nil {
		return err
	}
	a.appending.Lock()
	defer a.appending.Unlock()
	if same, err := a.stillNext(ctx, theirs); err != nil || !same {
		return err
	}
	return a.setPendingLocked(ctx, theirs)
}

// merge adds the signatures of a candidate to ours, if it is the same.
func (a *Authority) merge(ctx context.Context, theirs *candidate) (same bool, err error) {
	a.appending.Lock()
	defer a.appending.Unlock()
	ours := a.pendingNow()
	if ours == nil || ours.header != theirs.header {
		return false, nil
	}
	return true, a.addSignaturesLocked(ctx, ours, theirs.checkpoint)
}

// addSignaturesLocked adds what has not been there. The caller holds appending.
func (a *Authority) addSignaturesLocked(ctx context.Context, c *candidate, checkpoint []byte) error {
	merged, err := a.network.MergeSignatures(c.checkpoint, checkpoint)
	if err != nil || slices.Equal(merged, c.checkpoint) {
		return err
	}
	next := *c
	next.checkpoint = merged
	return a.setPendingLocked(ctx, &next)
}

// witness asks the witnesses for what is missing of their cosignatures.
func (a *Authority) witness(ctx context.Context, c *candidate) error {
	if _, err := a.network.OpenWitnessed(c.checkpoint); err == nil {
		return nil
	}
	tree, err := log.At(ctx, a.store.db)
	if err != nil {
		return err
	}
	next, err := tree.With(ctx, []byte(c.header))
	if err != nil {
		return err
	}
	cosigned, err := a.witnesses.Cosign(ctx, c.checkpoint, next.ProveFrom)
	a.appending.Lock()
	defer a.appending.Unlock()
	if now := a.pendingNow(); now != nil && now.header == c.header && len(cosigned) > 0 {
		err = errors.Join(err, a.addSignaturesLocked(ctx, now, cosigned))
	}
	return err
}

// publish appends the candidate to the log, and wakes those who wait for it.
func (a *Authority) publish(ctx context.Context) error {
	a.appending.Lock()
	defer a.appending.Unlock()
	c := a.pendingNow()
	if c == nil {
		return nil // another has published it, and we have it
	}
	tree, err := log.At(ctx, a.store.db)
	if err != nil {
		return err
	}
	next, err := tree.With(ctx, []byte(c.header))
	if err != nil {
		return err
	}
	proof, err := next.Prove(ctx, tree.Size())
	if err != nil {
		return err
	}
	root, err := next.Root(ctx)
	if err != nil {
		return err
	}
	signed, err := netmap.AssembleMap(c.header, proof, c.checkpoint, c.body)
	if err != nil {
		return err
	}
	return a.outLocked(ctx, [][]byte{[]byte(c.header)}, root, signed, c.shards, c.members)
}

// outLocked makes a map the newest one that we serve, with the leaves that the
// log lacks of it, and with the key shards that are known of it. Nothing goes out
// that nobody would ever believe. One that has expired before it was out does, or
// no other could follow it. The caller holds appending.
func (a *Authority) outLocked(ctx context.Context, leaves [][]byte, root tlog.Hash, signed []byte, shards [][]byte, members []listing) error {
	m, err := a.verifyLeaf(signed)
	if err != nil {
		return err
	}
	if err := a.store.publish(ctx, leaves, root, m.Sequence, signed, shards, members); err != nil {
		return err
	}
	if members != nil {
		a.nodes.setListed(members)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = nil
	a.current = signedMap{sequence: m.Sequence, bytes: signed, m: m, shards: inOrder(m, shards)}
	a.mirror.Add(m.Sequence, signed, m.Shards(), shards...)
	a.progress()
	return nil
}
