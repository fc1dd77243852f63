package stream_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

const firstWindow = 256 // cells, of a circuit

// A reader that does not read stops its writer, and nobody else.
func TestStreamWindow(t *testing.T) {
	ends(t, func(t *testing.T, p *pair, s, peer *stream.Stream) {
		results := make(chan error, 2)
		idle := []*stream.Stream{peer}
		go func() { results <- write(s, noise, len(noise)) }()
		for range 20 { // together more than the circuit's window
			s, peer := p.open(t, nil)
			go write(s, noise, len(noise))
			idle = append(idle, peer)
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Error("a writer did not wait for its reader")
		}
		held := p.exit.Held() + p.origin.Held()
		if want := len(idle) * reach; held != want {
			t.Errorf("%d bytes are held, want %d", held, want)
		}
		if n := int(p.pool.Used()); n > 2*held/cell.Size {
			t.Errorf("%d cells are in use to hold %d bytes", n, held)
		}
		other, end := p.open(t, nil)
		go func() { results <- exchange(other, noise, 50_000, noise) }()
		if err := exchange(end, noise, 50_000, noise); err != nil {
			t.Error(err)
		}
		for _, r := range idle {
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, noise) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

// What a reader that keeps up lets be under way grows, up to a bound.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(0)
		if err := p.receive(p.exit, content(cell.Frame{Type: cell.OpenFrame, Stream: 1, Data: site.Append(nil)})); err != nil {
			t.Fatal(err)
		}
		s := <-p.accepted
		got, allowed, most := uint64(0), uint64(reach), uint64(0)
		for got < 80<<20 {
			data := noise[:4000]
			if err := p.receive(p.exit, content(cell.Frame{Type: cell.DataFrame, Stream: 1, Data: data})); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(s, make([]byte, 4000)); err != nil {
				t.Fatal(err)
			}
			got += 4000
			for _, f := range p.sent(t, &p.back) {
				if f.Type == cell.WindowFrame {
					allowed = f.Value
					most = max(most, allowed-got)
				}
			}
		}
		if most != 16<<20 {
			t.Errorf("up to %d bytes were allowed ahead, want %d", most, 16<<20)
		}
		p.stop()
		p.empty(t)
	})
}

// Without acknowledgements only a window's worth of cells is sent.
func TestCircuitWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(0)
		p.origin.Ready()
		written := make(chan error, 10)
		for range 10 {
			s, err := p.origin.Open(site, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.track(s)
			go func() {
				_, err := s.Write(noise[:reach])
				written <- err
			}()
		}
		late, err := p.origin.Open(site, []byte("early"))
		if err != nil {
			t.Fatal(err)
		}
		p.track(late)
		synctest.Wait()
		if n := len(p.out.cells); n != firstWindow {
			t.Errorf("%d cells are under way, want %d", n, firstWindow)
		}
		p.run()
		for range 10 {
			if err := <-written; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if held := p.exit.Held(); held != 10*reach+5 {
			t.Errorf("%d bytes arrived", held)
		}
		p.end(t)
	})
}

// A writer that gives up while it waits for the window passes its turn on, as
// no other acknowledgement may come.
func TestTurns(t *testing.T) {
	for name, giveUp := range map[string]func(p *pair, s *stream.Stream){
		"close write": func(_ *pair, s *stream.Stream) { s.CloseWrite() },
		"close":       func(_ *pair, s *stream.Stream) { s.Close() },
		"reset":       func(_ *pair, s *stream.Stream) { s.Reset(cell.Failed) },
		"deadline":    func(_ *pair, s *stream.Stream) { s.SetDeadline(time.Unix(1, 0)) },
		"stopped": func(p *pair, _ *stream.Stream) {
			p.receive(p.origin, content(cell.Frame{Type: cell.StopFrame, Stream: 5}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(0)
				p.origin.Ready()
				var streams []*stream.Stream
				for range 6 {
					s, err := p.origin.Open(site, nil)
					if err != nil {
						t.Fatal(err)
					}
					p.track(s)
					streams = append(streams, s)
				}
				for i := 0; len(p.out.cells) < firstWindow; i++ {
					room := (firstWindow - len(p.out.cells)) * (size - cell.DataOverhead)
					streams[i].Write(noise[:min(reach, room)])
				}
				written := make(chan error, 2)
				for _, s := range streams[4:] {
					go func() {
						_, err := s.Write([]byte("x"))
						written <- err
					}()
					synctest.Wait()
				}
				giveUp(p, streams[4])
				if err := <-written; err == nil {
					t.Error("a write that was given up got no error")
				}
				p.receive(p.origin, content(cell.Frame{Type: cell.AckFrame, Value: firstWindow}))
				synctest.Wait()
				if len(written) == 0 {
					t.Error("the next writer still waits")
				}
				p.stop()
				p.empty(t)
			})
		})
	}
}
