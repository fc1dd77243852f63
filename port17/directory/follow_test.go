package directory

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
)

// A source that keeps newer maps back does not do so for longer than two
// periods: then the others are asked.
func TestFrozen(t *testing.T) {
	p := newPress(t, 1)
	synctest.Test(t, func(t *testing.T) {
		frozen := p.print(t, 1, 0)
		c := New(Config{Network: p.at("http://good", "http://frozen")})
		newer, asked := 0, 0
		begun := time.Now()
		c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "frozen" {
				if r.URL.Query().Get("after") == "0" {
					return reply(r, http.StatusOK, frozen)
				}
				<-time.After(pollFor)
				return reply(r, http.StatusNotModified, nil)
			}
			asked++
			return reply(r, http.StatusOK, p.print(t, 1+uint64(time.Since(begun)/netmap.DefaultPeriod), 0))
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		c.Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends with the context
			if newer++; m.Sequence > 1 && newer == 2 && time.Since(begun) > 2*netmap.DefaultPeriod+time.Minute {
				t.Errorf("map %d after %v", m.Sequence, time.Since(begun))
			}
		})
		if newer < 2 || asked > 1000 {
			t.Errorf("%d maps, the good source was asked %d times", newer, asked)
		}
	})
}

// A source that takes questions and is silent does so no longer than one that
// keeps maps back, however long it is given for an answer.
func TestSilentWhileFollowing(t *testing.T) {
	p := newPress(t, 1)
	synctest.Test(t, func(t *testing.T) {
		const period, validity = 2 * time.Second, 10 * time.Second
		n := p.at("http://good", "http://silent")
		n.Period, n.Validity = netmap.Duration(period), netmap.Duration(validity)
		c := New(Config{Network: n})
		begun := time.Now()
		made := func() []byte {
			i := time.Since(begun) / period
			return p.printFor(t, validity, uint64(1+i), time.Since(begun.Add(i*period)))
		}
		c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if time.Since(begun) > time.Minute && r.URL.Host == "silent" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return reply(r, http.StatusOK, made())
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		last := begun
		c.Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends with the context
			if gap := time.Since(last); gap > (oldPeriods+2)*period {
				t.Errorf("map %d came %v after the one before", m.Sequence, gap)
			}
			last = time.Now()
		})
		if time.Since(last) > (oldPeriods+2)*period {
			t.Errorf("the last map came %v before the end", time.Since(last))
		}
	})
}

// Without a map, a source that is slow holds the next one up for a moment only.
func TestSlowAtTheStart(t *testing.T) {
	p := newPress(t, 1)
	synctest.Test(t, func(t *testing.T) {
		signed := p.print(t, 1, 0)
		c := New(Config{Network: p.at("http://good", "http://slow", "http://slower")})
		c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "good" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return reply(r, http.StatusOK, signed)
		})
		begun := time.Now()
		if _, err := c.Fetch(t.Context()); err != nil || time.Since(begun) != 2*stagger {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// A source whose answer trickles is given up after a while.
func TestTrickle(t *testing.T) {
	p := newPress(t, 1)
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Network: p.at("http://slow")})
		c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: trickle{r.Context()}, Request: r}, nil
		})
		begun := time.Now()
		_, err := c.Fetch(t.Context())
		if err == nil || time.Since(begun) > readTimeout+time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// trickle is a body of a byte a second.
type trickle struct{ ctx context.Context }

func (b trickle) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(time.Second):
		return copy(p, "x"), nil
	}
}

func (trickle) Close() error { return nil }

// Where there are circuits, maps come through them, and nobody else is asked
// unless that fails.
func TestThroughCircuits(t *testing.T) {
	p := newPress(t, 1)
	m := NewMirror(MirrorConfig{})
	m.Add(2, p.print(t, 2, 0), nil)
	node := serve(t, m)
	refuse := true
	var bootstrap uint64
	c := New(Config{Network: p.at(serve(t, answering(p.print(t, 3, 0)))), Dial: func(ctx context.Context, newest *netmap.Map) (net.Conn, error) {
		bootstrap = newest.Sequence
		if refuse {
			return nil, errors.New("no route")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", node[len("http://"):])
	}})
	if _, err := c.take(p.print(t, 1, 0)); err != nil {
		t.Fatal(err)
	}
	refuse = false
	if got, err := c.Fetch(t.Context()); err != nil || got.Sequence != 2 || bootstrap != 1 {
		t.Errorf("map %v, %v", got, err)
	}
	refuse = true
	if got, err := c.Fetch(t.Context()); err != nil || got.Sequence != 3 {
		t.Errorf("map %v, %v", got, err)
	}
}
