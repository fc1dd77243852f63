package sse

import (
	"context"
	"errors"
	"sync"
	"time"
)

var (
	// ErrSlow means that a subscriber did not keep up and was dropped.
	ErrSlow = errors.New("the subscriber did not keep up")
	// ErrBrokerClosed means that nothing will be published any more.
	ErrBrokerClosed = errors.New("the broker is closed")
)

// A Broker hands each published value to all who have subscribed.
type Broker[T any] struct {
	buffer int

	mu     sync.Mutex
	subs   map[*Subscription[T]]struct{}
	closed bool
}

// NewBroker returns a broker whose subscribers may each be behind by buffer
// values, at least one.
func NewBroker[T any](buffer int) *Broker[T] {
	return &Broker[T]{buffer: max(buffer, 1), subs: make(map[*Subscription[T]]struct{})}
}

// A Subscription is one subscriber's place in line.
type Subscription[T any] struct {
	// C yields the values in the order in which they were published. It is
	// closed when the subscription has ended; Err then says why.
	C <-chan T

	broker *Broker[T]
	send   chan T
	stop   func() bool // forgets the context
	err    error       // guarded by broker.mu; set once, before C is closed
}

// Subscribe starts a subscription that sees all values published from now on,
// until ctx ends or Close is called.
func (b *Broker[T]) Subscribe(ctx context.Context) *Subscription[T] {
	c := make(chan T, b.buffer)
	s := &Subscription[T]{C: c, broker: b, send: c}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[s] = struct{}{}
	if b.closed {
		b.dropLocked(s, ErrBrokerClosed)
		return s
	}
	s.stop = context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })
	return s
}

// Publish hands v to all subscribers. It never waits: who has no room left
// is dropped with [ErrSlow].
func (b *Broker[T]) Publish(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		select {
		case s.send <- v:
		default:
			b.dropLocked(s, ErrSlow)
		}
	}
}

// Subscribers returns how many there are.
func (b *Broker[T]) Subscribers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)
}

// Close ends all subscriptions, present and future, with [ErrBrokerClosed].
// What was published before can still be read from them.
func (b *Broker[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		b.dropLocked(s, ErrBrokerClosed)
	}
}

// dropLocked ends s unless it has ended.
func (b *Broker[T]) dropLocked(s *Subscription[T], why error) {
	if _, ok := b.subs[s]; !ok {
		return
	}
	delete(b.subs, s)
	s.err = why
	close(s.send)
	if s.stop != nil {
		s.stop()
	}
}

// Next waits for the next value. Its error is that of ctx, or Err's when the
// subscription has ended and all values before its end have been read.
func (s *Subscription[T]) Next(ctx context.Context) (T, error) {
	var zero T
	select {
	case v, ok := <-s.C:
		if !ok {
			return zero, s.Err()
		}
		return v, nil
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}

// Err is why the subscription has ended, nil while it has not: the cause of
// its context, [ErrSlow], [ErrBrokerClosed], or [context.Canceled] after
// Close.
func (s *Subscription[T]) Err() error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return s.err
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription[T]) Close() { s.end(context.Canceled) }

func (s *Subscription[T]) end(why error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.broker.dropLocked(s, why)
}

// Forward sends each value of the subscription as an event, with a beat
// whenever nothing was sent for [BeatEvery]. It returns when the client has
// gone or the subscription has ended, with the reason.
func Forward[T any](s *Stream, event string, sub *Subscription[T]) error {
	beat := time.NewTicker(BeatEvery)
	defer beat.Stop()
	for {
		var err error
		select {
		case v, ok := <-sub.C:
			if !ok {
				return sub.Err()
			}
			err = s.Send(event, v)
			beat.Reset(BeatEvery)
		case <-beat.C:
			err = s.Beat()
		case <-s.Done():
			err = ErrClosed
		}
		if err != nil {
			return err
		}
	}
}
