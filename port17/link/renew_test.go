package link_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

// pipe links two ends in a synctest bubble.
func pipe(t *testing.T, near, far link.Config) (initiator, responder *link.Link) {
	t.Helper()
	n := newNode(t)
	p, conn := newPeer(t)
	done := make(chan accepted, 1)
	go func() {
		l, err := link.Accept(p.conn, n.keys, far)
		done <- accepted{l, err}
	}()
	l := initiate(t, conn, n, near)
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	t.Cleanup(func() { end(t, a.link) })
	return l, a.link
}

// Keys are renewed again and again, as a link whose keys are not ends after
// half an hour; cells go on. After a day every link ends.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTaker()
		near, far := pipe(t, link.Config{Identity: newNode(t).key}, k.config(t, true))
		g, in := open(t, near)
		(<-k).want(t, 0, 4)
		in.want(t, 0, 4)
		next := uint32(4)
		for range 23 {
			time.Sleep(time.Hour)
			push(t, g, next, 20)
			in.want(t, next, 20)
			next += 20
		}
		time.Sleep(time.Hour + time.Minute)
		<-near.Done()
		<-far.Done()
		wantError(t, "one of the ends", errors.Join(near.Err(), far.Err()), "limit")
	})
}

// A responder that doesn't answer offers loses the link.
func TestRenewalWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := responder(t, link.Config{})
		p.session.Limit(tinker.Limits{Life: 48 * time.Hour, Root: 48 * time.Hour, RootBytes: 1 << 40})
		offers := make(chan int)
		go func() {
			n := 0
			for {
				cells, err := p.read()
				if err != nil {
					offers <- n
					return
				}
				for _, c := range cells {
					if cell.ParseHeader(c).Command == cell.Step {
						n++
					}
				}
				p.conn.Write(p.record(rawCell(0, cell.Padding, nil))) //nolint:errcheck // the link ends
			}
		}()
		<-l.Done()
		wantError(t, "the link", l.Err(), "limit")
		if n := <-offers; n != 1 {
			t.Errorf("%d offers, want one", n)
		}
	})
}

// What is no step of the ratchet ends the link.
func TestBadStep(t *testing.T) {
	content := func(message []byte) []byte {
		b := make([]byte, cell.PayloadSize)
		tinker.PutStep(b, message)
		return b
	}
	for _, test := range []struct {
		name, reason string
		payload      []byte
	}{
		{"cut short", "too short", []byte{255, 255}},
		{"no offer", "unknown suite", content([]byte{0, 99})},
		{"short key", "does not open", content([]byte{0, 1, 2})},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, l := initiator(t, link.Config{})
			go p.drain()
			p.write(p.record(rawCell(0, cell.Step, test.payload)))
			<-l.Done()
			wantError(t, "the link", l.Err(), test.reason)
		})
	}
	t.Run("too often", func(t *testing.T) {
		p, l := initiator(t, link.Config{})
		go p.drain()
		offer, err := p.session.Offer(tinker.TK1)
		if err != nil {
			t.Fatal(err)
		}
		p.write(p.record(rawCell(0, cell.Step, content(offer)), rawCell(0, cell.Step, content(offer))))
		<-l.Done()
		wantError(t, "the link", l.Err(), "too often")
	})
	t.Run("early", func(t *testing.T) {
		p, l := initiator(t, link.Config{})
		go p.drain()
		p.write(record(p.early, 0, 1, rawCell(0, cell.Step, content([]byte{0, 1}))))
		<-l.Done()
		wantError(t, "the link", l.Err(), "too early")
	})
	t.Run("answer without an offer", func(t *testing.T) {
		p, l := responder(t, link.Config{})
		go p.drain()
		p.conn.Write(p.record(rawCell(0, cell.Step, content([]byte{1})))) //nolint:errcheck // the link ends
		<-l.Done()
		wantError(t, "the link", l.Err(), "no offer")
	})
}
