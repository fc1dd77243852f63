package sse

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// drain reads until the subscription ends.
func drain[T any](s *Subscription[T]) []T {
	var all []T
	for v := range s.C {
		all = append(all, v)
	}
	return all
}

func TestBrokerFansOutInOrder(t *testing.T) {
	b := NewBroker[int](8)
	early := b.Subscribe(t.Context())
	b.Publish(1)
	late := b.Subscribe(t.Context())
	b.Publish(2)
	b.Publish(3)
	b.Close()
	if got := drain(early); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("the early one got %v", got)
	}
	if got := drain(late); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("the late one got %v", got)
	}
	if err := early.Err(); !errors.Is(err, ErrBrokerClosed) {
		t.Errorf("got %v, want ErrBrokerClosed", err)
	}
	after := b.Subscribe(t.Context())
	if _, err := after.Next(t.Context()); !errors.Is(err, ErrBrokerClosed) {
		t.Errorf("after Close: got %v, want ErrBrokerClosed", err)
	}
	b.Publish(4)
	b.Close()
}

func TestBrokerDropsTheSlow(t *testing.T) {
	b := NewBroker[int](2)
	slow, quick := b.Subscribe(t.Context()), b.Subscribe(t.Context())
	for i := range 5 {
		b.Publish(i)
		if v, err := quick.Next(t.Context()); v != i || err != nil {
			t.Fatalf("the quick one got %d, %v; want %d", v, err, i)
		}
	}
	if got := drain(slow); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("the slow one got %v before it was dropped", got)
	}
	if err := slow.Err(); !errors.Is(err, ErrSlow) {
		t.Errorf("got %v, want ErrSlow", err)
	}
	if err := quick.Err(); err != nil {
		t.Errorf("the quick one ended: %v", err)
	}
	if n := b.Subscribers(); n != 1 {
		t.Errorf("%d subscribers are left, want 1", n)
	}
}

func TestSubscriptionEnds(t *testing.T) {
	b := NewBroker[int](1)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := b.Subscribe(ctx)
	cancel(why)
	if _, err := s.Next(t.Context()); !errors.Is(err, why) {
		t.Errorf("got %v, want the context's cause", err)
	}
	s = b.Subscribe(t.Context())
	s.Close()
	s.Close()
	if _, err := s.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if n := b.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	s := NewBroker[int](1).Subscribe(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("the subscription ended too: %v", err)
	}
}

// TestBrokerUnderLoad has all operations happen at once: what a subscriber
// sees must be a run of values without a gap.
func TestBrokerUnderLoad(t *testing.T) {
	const values, readers = 2000, 16
	b := NewBroker[int](32)
	var wg sync.WaitGroup
	for i := range readers {
		ctx, cancel := context.WithCancel(t.Context())
		s := b.Subscribe(ctx)
		wg.Go(func() {
			defer cancel()
			last := -1
			for v := range s.C {
				if last >= 0 && v != last+1 {
					t.Errorf("%d came after %d", v, last)
				}
				last = v
				if i%4 == 0 && v > values/2 {
					cancel()
				}
				if i%4 == 1 && v > values/3 {
					s.Close()
				}
			}
			if s.Err() == nil {
				t.Error("the subscription ended without a reason")
			}
		})
	}
	for i := range values {
		b.Publish(i)
	}
	b.Close()
	wg.Wait()
	if n := b.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}
