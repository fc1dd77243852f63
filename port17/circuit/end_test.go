package circuit_test

import (
	"cmp"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/tinker"
)

// unknown is data of a stream that never was.
var unknown = cell.Frame{Type: cell.DataFrame, Stream: 9, Data: []byte("x")}.Append(nil)

func at(hop int, r cell.Reason) error { return &circuit.Error{Reason: r, Hop: hop} }

func sameError(a, b error) bool {
	var x, y *circuit.Error
	if errors.As(a, &x) && errors.As(b, &y) {
		return *x == *y
	}
	return errors.Is(a, b)
}

// What ends a circuit of three nodes that have replied.
func TestEnd(t *testing.T) {
	destroy := func(r cell.Reason, distance uint8) func(*path, *circuit.Circuit, *stream.Stream) {
		return func(p *path, _ *circuit.Circuit, _ *stream.Stream) { p.leg.Close(r, distance) }
	}
	send := func(frames []byte, layers int, innermost byte, alters int) func(*path, *circuit.Circuit, *stream.Stream) {
		return func(p *path, _ *circuit.Circuit, _ *stream.Stream) { p.send(frames, layers, innermost, alters) }
	}
	for _, test := range []struct {
		name string
		cut  func(*path, *circuit.Circuit, *stream.Stream)
		want error       // nil: nothing ends
		told cell.Reason // to the nodes
	}{
		{"closed", func(_ *path, c *circuit.Circuit, _ *stream.Stream) { c.Close() }, circuit.ErrClosed, cell.Finished},
		{"link broken", func(p *path, _ *circuit.Circuit, _ *stream.Stream) { p.link.Close() }, at(0, cell.LinkBroken), cell.LinkBroken},
		{"destroyed by the entry", destroy(cell.OutOfMemory, 0), at(0, cell.OutOfMemory), 0},
		{"destroyed by the second", destroy(cell.LinkBroken, 1), at(1, cell.LinkBroken), 0},
		{"destroyed by the exit", destroy(cell.ShuttingDown, 2), at(2, cell.ShuttingDown), 0},
		{"destroyed from behind", destroy(cell.Expired, 200), at(2, cell.Expired), 0},
		{"altered by the entry", send(nil, 3, tinker.LayerLocal, 0), at(0, cell.Altered), cell.Altered},
		{"altered by the second", send(nil, 3, tinker.LayerLocal, 1), at(1, cell.Altered), cell.Altered},
		{"altered by the exit", send(nil, 3, tinker.LayerLocal, 2), at(2, cell.Altered), cell.Altered},
		{"unknown stream", send(unknown, 3, tinker.LayerLocal, -1), at(2, cell.Protocol), cell.Protocol},
		{"behind the exit", send(nil, 3, tinker.LayerRelay, -1), at(2, cell.Protocol), cell.Protocol},
		{"unknown layer", send(nil, 2, 50, -1), at(1, cell.Protocol), cell.Protocol},
		{"created twice", func(p *path, _ *circuit.Circuit, _ *stream.Stream) {
			p.push(cell.Created, p.link.Pool().Get())
		}, at(0, cell.Protocol), cell.Protocol},
		{"queue full", func(_ *path, _ *circuit.Circuit, s *stream.Stream) {
			s.Write(make([]byte, 16*cell.Size))
		}, at(0, cell.QueueFull), cell.QueueFull},
		{"padding", send(unknown, 3, tinker.LayerDrop, -1), nil, 0},
		{"padding of the entry", send(unknown, 1, tinker.LayerDrop, -1), nil, 0},
		{"frames of the second", send(unknown, 2, tinker.LayerLocal, -1), nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPath(t, 3, link.Config{QueueLimit: 4})
				defer p.end()
				var c *circuit.Circuit
				var s *stream.Stream
				calls := 0
				c, s = dial(t, p, &site, []byte("early"), func(err error) {
					calls++
					s.Write([]byte("too late"))
					if s.Err() != nil || c.Err() != nil {
						t.Errorf("the streams knew before: %v, %v", s.Err(), c.Err())
					}
					if want := cmp.Or(test.want, circuit.ErrClosed); !sameError(err, want) {
						t.Errorf("error %v, want %v", err, want)
					}
				})
				p.build()
				synctest.Wait()
				test.cut(p, c, s)
				synctest.Wait()
				if !sameError(s.Err(), test.want) || !sameError(c.Err(), test.want) || p.told != test.told {
					t.Errorf("stream: %v, circuit: %v, nodes: %v", s.Err(), c.Err(), p.told)
				}
				other, err := c.Open(site, nil)
				if !sameError(err, test.want) {
					t.Errorf("open: %v", err)
				}
				if test.want == nil {
					echo(t, s, <-p.streams, []byte("early"))
					echo(t, other, <-p.streams, nil)
					c.Close()
					synctest.Wait()
					return
				}
				<-c.Done()
				c.Close()
				if calls != 1 {
					t.Errorf("%d calls that it has ended", calls)
				}
			})
		})
	}
}

// What ends a circuit before its nodes have replied.
func TestEndOfBuilding(t *testing.T) {
	for _, test := range []struct {
		name    string
		replies int // before what happens
		cut     func(*path)
		want    error
	}{
		{"no answer", 0, func(*path) { <-time.After(time.Minute) }, at(0, cell.TimedOut)},
		{"two answers", 2, func(*path) { <-time.After(time.Minute) }, at(0, cell.TimedOut)},
		{"no first reply", 0, func(p *path) { p.push(cell.Relay, p.link.Pool().Get()) }, at(0, cell.Protocol)},
		{"a wrong first reply", 0, func(p *path) { p.push(cell.Created, p.link.Pool().Get()) }, at(0, cell.Altered)},
		{"a wrong second reply", 1, func(p *path) { p.send([]byte("reply"), 1, tinker.LayerRelay, -1) }, at(1, cell.Altered)},
		{"a wrong last reply", 2, func(p *path) { p.send([]byte("reply"), 2, tinker.LayerRelay, -1) }, at(2, cell.Altered)},
		{"altered by the entry", 2, func(p *path) { p.send(nil, 2, tinker.LayerRelay, 0) }, at(0, cell.Altered)},
		{"no link", 1, func(p *path) { p.leg.Close(cell.NoLink, 1) }, at(1, cell.NoLink)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPath(t, 3, link.Config{})
				defer p.end()
				c, s := dial(t, p, &site, make([]byte, stream.MaxEarly), nil)
				p.serve()
				for i := range test.replies {
					p.reply(i)
				}
				test.cut(p)
				synctest.Wait()
				if !sameError(c.Err(), test.want) || !sameError(s.Err(), test.want) || built(c) {
					t.Errorf("circuit: %v, stream: %v, built: %v, want %v", c.Err(), s.Err(), built(c), test.want)
				}
				(<-p.streams).Close()
			})
		})
	}
}
