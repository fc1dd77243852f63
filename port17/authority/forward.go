package authority

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	maxQueued   = 4096     // objects for one peer
	maxWaiting  = 32 << 20 // bytes of them
	maxAttempts = 4        // to send a batch
	gatherFor   = 50 * time.Millisecond
)

// A forwarder passes on to a peer what nodes have published here. What does not
// fit into its queue is lost to the peer until it asks for it, or the node
// publishes again: nodes publish everywhere themselves.
type forwarder struct {
	peer    *peer
	network string
	self    note.Signer
	log     *slog.Logger

	mu     sync.Mutex
	queue  []parcel
	size   int // bytes
	lost   int
	filled chan struct{} // a token when there is something in the queue
}

func newForwarder(p *peer, network string, self note.Signer, log *slog.Logger) *forwarder {
	return &forwarder{peer: p, network: network, self: self, log: log, filled: make(chan struct{}, 1)}
}

// add puts an object into the queue; the oldest gives way.
func (f *forwarder) add(p parcel) {
	f.mu.Lock()
	f.queue, f.size = append(f.queue, p), f.size+len(p.Signed)
	for len(f.queue) > maxQueued || f.size > maxWaiting {
		f.size -= len(f.queue[0].Signed)
		f.queue[0] = parcel{} // else the list keeps it
		f.queue = f.queue[1:]
		f.lost++
	}
	f.mu.Unlock()
	select {
	case f.filled <- struct{}{}:
	default:
	}
}

// take returns the next batch.
func (f *forwarder) take() (batch []parcel, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.queue), maxBatch)
	batch = slices.Clone(f.queue[:n])
	f.queue = slices.Delete(f.queue, 0, n)
	for _, p := range batch {
		f.size -= len(p.Signed)
	}
	lost, f.lost = f.lost, 0
	return batch, lost
}

// run sends until the context ends.
func (f *forwarder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.filled:
		}
		wait(ctx, gatherFor) // what comes now goes into the same message
		for ctx.Err() == nil {
			batch, lost := f.take()
			if lost > 0 {
				f.log.Warn("an authority is slow to take what nodes publish", "authority", f.peer.url, "lost", lost)
			}
			if len(batch) == 0 {
				break
			}
			f.send(ctx, batch)
		}
	}
}

func (f *forwarder) send(ctx context.Context, batch []parcel) {
	content, err := encodeBatch(batch)
	if err != nil {
		f.log.Error("pass objects on", "error", err)
		return
	}
	for attempt := range maxAttempts {
		message, err := sealMessage(f.network, f.self, time.Now(), content)
		if err == nil {
			err = f.peer.send(ctx, message)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		f.log.Debug("objects were not passed on", "authority", f.peer.url, "attempt", attempt, "error", err)
		wait(ctx, time.Second<<attempt)
	}
	f.log.Info("an authority takes nothing of what nodes publish", "authority", f.peer.url)
}

// wait returns after a time, or when the context ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
