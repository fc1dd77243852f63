package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

var (
	udp      = cell.Target{UDP: true}
	resolver = cell.Target{Addr: netip.MustParseAddr("192.0.2.53"), Port: 53}
)

// associate returns both ends of a stream for datagrams.
func (p *pair) associate(t rapid.TB) (s, peer *stream.Datagrams) {
	t.Helper()
	to, err := p.origin.Open(udp, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.track(to)
	s, peer = stream.NewDatagrams(to), stream.NewDatagrams(<-p.accepted)
	p.running.Go(s.Run)
	p.running.Go(peer.Run)
	return s, peer
}

// receive takes datagrams and says where they differ from what is wanted.
func receive(d *stream.Datagrams, from cell.Target, want [][]byte) error {
	b := make([]byte, cell.MaxDatagram)
	for i, w := range want {
		n, t, err := d.Receive(b)
		if err != nil || t != from || !bytes.Equal(b[:n], w) {
			return fmt.Errorf("datagram %d of %d: %d bytes of %v, %v, want %d bytes of %v", i, len(want), n, t, err, len(w), from)
		}
	}
	return nil
}

func TestDatagramsArrive(t *testing.T) {
	sizes := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 5000), rapid.IntRange(65000, cell.MaxDatagram))
	datagrams := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte {
		n := sizes.Draw(t, "length")
		at := rapid.IntRange(0, len(noise)-n).Draw(t, "at")
		return noise[at : at+n]
	}), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		p := connect()
		defer p.end(t)
		s, peer := p.associate(t)
		there, back := datagrams.Draw(t, "there"), datagrams.Draw(t, "back")
		send := func(d *stream.Datagrams, to cell.Target, all [][]byte) {
			for _, b := range all {
				for errors.Is(d.Send(to, b), stream.ErrDropped) {
					runtime.Gosched()
				}
			}
		}
		results := make(chan error, 2)
		go func() { results <- receive(peer, site, there) }()
		go func() { results <- receive(s, resolver, back) }()
		go send(s, site, there)
		send(peer, resolver, back)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

// What has no room is dropped, what has arrives; nobody waits.
func TestDatagramsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect()
		s, peer := p.associate(t)
		datagram := noise[:1200]
		sent, dropped := 0, 0
		for i := range 5000 {
			switch err := s.Send(site, datagram); {
			case err == nil:
				sent++
			case errors.Is(err, stream.ErrDropped):
				dropped++
			default:
				t.Fatal(err)
			}
			if i%100 == 0 {
				synctest.Wait() // some of it is on its way when the rest comes
			}
		}
		synctest.Wait()
		if dropped == 0 || sent < 300 {
			t.Errorf("%d datagrams were sent, %d dropped", sent, dropped)
		}
		if held := p.exit.Held(); held > reach {
			t.Errorf("%d bytes are held that nobody reads", held)
		}
		if n := int(p.pool.Used()) * cell.Size; n > 2*(reach+2*cell.MaxDatagram) {
			t.Errorf("%d bytes are in use for them", n)
		}
		var want [][]byte
		for range sent {
			want = append(want, datagram)
		}
		if err := receive(peer, site, want); err != nil {
			t.Error(err)
		}
		if err := s.Send(site, make([]byte, cell.MaxDatagram+1)); !errors.Is(err, stream.ErrTooLong) {
			t.Errorf("a datagram that is too long: %v", err)
		}
		p.end(t)
	})
}

// Datagrams without end leave other streams their turns.
func TestDatagramsLeaveRoom(t *testing.T) {
	ends(t, func(t *testing.T, p *pair, s, peer *stream.Stream) {
		there, back := p.associate(t)
		for _, d := range []*stream.Datagrams{there, back} {
			p.running.Go(func() {
				for d.Stream().Err() == nil {
					d.Send(resolver, noise[:1200])
					<-time.After(time.Microsecond)
				}
			})
			p.running.Go(func() {
				for d.Await() == nil {
					d.Receive(nil)
				}
			})
		}
		results := make(chan error, 1)
		go func() { results <- exchange(s, noise, 50_000, noise) }()
		if err := exchange(peer, noise, 50_000, noise); err != nil {
			t.Error(err)
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
	})
}

// What was sent before the end arrives, then the end.
func TestDatagramsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect()
		s, peer := p.associate(t)
		want := [][]byte{noise[:60000], noise[:60000], {}}
		for _, b := range want {
			if err := s.Send(site, b); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
		if err := s.Send(site, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		if _, _, err := s.Receive(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("receive after close: %v", err)
		}
		if err := receive(peer, site, want); err != nil {
			t.Error(err)
		}
		if _, _, err := peer.Receive(nil); err != io.EOF {
			t.Errorf("receive after the other side's close: %v", err)
		}
		peer.Send(resolver, noise[:9])
		synctest.Wait()
		if err := peer.Send(resolver, nil); err == nil {
			t.Error("the other side takes no more and nobody learns of it")
		}
		p.end(t)
	})
}

func TestDatagramsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect()
		s, peer := p.associate(t)
		s.Stream().SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := s.Receive(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		s.Stream().SetReadDeadline(time.Time{})
		if err := peer.Send(resolver, []byte("whole")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2)
		if n, from, err := s.Receive(b); n != 2 || from != resolver || err != nil {
			t.Errorf("%d bytes from %v, %v", n, from, err)
		}
		p.origin.Close(errOver)
		if _, _, err := s.Receive(nil); !errors.Is(err, errOver) {
			t.Errorf("receive after the circuit's end: %v", err)
		}
		p.end(t)
	})
}

// Bytes that are no datagrams end the circuit, as soon as that can be told.
func TestDatagramsMalformed(t *testing.T) {
	header := func(t cell.Target, n int) []byte { return cell.AppendDatagramHeader(nil, t, n) }
	for name, test := range map[string]struct {
		toOrigin bool
		data     []byte
		want     bool
	}{
		"whole":                {data: append(header(site, 2), 1, 2), want: true},
		"cut":                  {data: header(site, 2)[:4], want: true},
		"two":                  {data: append(header(site, 0), header(resolver, 0)...), want: true},
		"too long":             {data: header(site, cell.MaxDatagram+1)},
		"unknown kind":         {data: []byte{0, 0, 0, 53, 9}},
		"port 0":               {data: header(cell.Target{Host: "a"}, 0)},
		"target of a stream":   {data: header(udp, 0)},
		"second one malformed": {data: append(header(site, 0), header(udp, 0)...)},
		"name too long":        {data: []byte{0, 0, 0, 53, 1, 254}},
		"answer":               {toOrigin: true, data: header(resolver, 0), want: true},
		"answer of a name":     {toOrigin: true, data: header(site, 0)},
	} {
		p := newPair(0)
		s, err := p.origin.Open(udp, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.track(s)
		p.origin.Ready()
		p.out.deliver(p.exit)
		to := p.exit
		if test.toOrigin {
			to = p.origin
		}
		err = nil
		for _, b := range test.data { // in pieces as small as can be
			err = errors.Join(err, p.receive(to, content(cell.Frame{Type: cell.DataFrame, Stream: 1, Data: []byte{b}})))
		}
		if (err == nil) != test.want {
			t.Errorf("%s: %v", name, err)
		}
		p.stop()
		p.empty(t)
	}
}
