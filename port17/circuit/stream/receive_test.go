package stream_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// frames makes each frame a cell of its own.
func frames(all ...cell.Frame) [][]byte {
	var cells [][]byte
	for _, f := range all {
		cells = append(cells, content(f))
	}
	return cells
}

func TestProtocol(t *testing.T) {
	target := site.Append(nil)
	open := func(id uint32) cell.Frame { return cell.Frame{Type: cell.OpenFrame, Stream: id, Data: target} }
	on := func(t cell.FrameType, id uint32) cell.Frame { return cell.Frame{Type: t, Stream: id} }
	data := func(id uint32, n int) cell.Frame {
		return cell.Frame{Type: cell.DataFrame, Stream: id, Data: noise[:n]}
	}
	full := slices.Repeat(frames(data(1, reach/128)), 128)

	for _, test := range []struct {
		name  string
		cells [][]byte
		want  string // part of the error; empty: none
	}{
		{"nothing", [][]byte{nil}, ""},
		{"stream 0", frames(data(0, 1)), "never was"},
		{"a stream that never was", frames(data(5, 1)), "never was"},
		{"end of such a stream", frames(on(cell.EndFrame, 5)), "never was"},
		{"reset of such a stream", frames(on(cell.ResetFrame, 5)), "never was"},
		{"rising numbers", frames(open(7), open(9), data(9, 1)), ""},
		{"a number between", frames(open(7), data(6, 1)), ""},
		{"a number twice", frames(open(1)), "used twice"},
		{"a lower number", frames(open(7), open(6)), "used twice"},
		{"confirmation by the origin", frames(on(cell.OpenedFrame, 1)), "confirmed by the origin"},
		{"data after the end", frames(on(cell.EndFrame, 1), data(1, 1)), "after the end"},
		{"two ends", frames(on(cell.EndFrame, 1), on(cell.EndFrame, 1)), "ended twice"},
		{"stop twice", frames(on(cell.StopFrame, 1), on(cell.StopFrame, 1)), ""},
		{"what follows a reset", frames(on(cell.ResetFrame, 1), data(1, 9), on(cell.EndFrame, 1), on(cell.EndFrame, 1)), ""},
		{"no data", frames(data(1, 0)), ""},
		{"all that is allowed", full, ""},
		{"more than is allowed", append(slices.Clip(full), content(data(1, 1))), "more data than was allowed"},
		{"acknowledgement of nothing", frames(cell.Frame{Type: cell.AckFrame}), ""},
		{"acknowledgement of what was not sent", frames(cell.Frame{Type: cell.AckFrame, Value: 1}), "not sent"},
		{"window without bound", frames(cell.Frame{Type: cell.WindowFrame, Stream: 1, Value: 1<<64 - 1}), ""},
		{"unknown frame", [][]byte{{9, 0, 0, 0, 1}}, "unknown type"},
		{"data longer than the cell", [][]byte{{3, 0, 0, 0, 1, 255, 255, 1}}, "cut short"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(0)
			if err := p.receive(p.exit, content(open(1))); err != nil {
				t.Fatal(err)
			}
			var err error
			for _, c := range test.cells {
				if err = p.receive(p.exit, c); err != nil {
					break
				}
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			p.stop()
			p.empty(t)
		})
	}
}

func TestOriginAcceptsNothing(t *testing.T) {
	p := newPair(0)
	defer p.end(t)
	f := cell.Frame{Type: cell.OpenFrame, Stream: 1, Data: site.Append(nil)}
	if err := p.receive(p.origin, content(f)); err == nil || !strings.Contains(err.Error(), "opened by the exit") {
		t.Error(err)
	}
}

// Several frames share a cell, and the data lies between them.
func TestFramesInOneCell(t *testing.T) {
	p := newPair(0)
	b := content(
		cell.Frame{Type: cell.OpenFrame, Stream: 1, Data: site.Append(nil)},
		cell.Frame{Type: cell.DataFrame, Stream: 1, Data: noise[:2000]},
		cell.Frame{Type: cell.DataFrame, Stream: 1, Data: noise[2000:4000]},
		cell.Frame{Type: cell.EndFrame, Stream: 1},
	)
	if err := p.receive(p.exit, b); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(<-p.accepted); err != nil || string(got) != string(noise[:4000]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	p.end(t)
}

// The bytes of small pieces are put together.
func TestSmallPieces(t *testing.T) {
	p := newPair(0)
	if err := p.receive(p.exit, content(cell.Frame{Type: cell.OpenFrame, Stream: 1, Data: site.Append(nil)})); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		f := cell.Frame{Type: cell.DataFrame, Stream: 1, Data: noise[i : i+1]}
		if err := p.receive(p.exit, content(f)); err != nil {
			t.Fatal(err)
		}
	}
	if n := int(p.pool.Used()) - len(p.back.cells); n != 3 {
		t.Errorf("10000 bytes take %d cells", n)
	}
	p.end(t)
}

func TestTooManyStreams(t *testing.T) {
	p := newPair(2)
	p.origin.Ready()
	p.run()
	defer p.end(t)
	s, peer := p.open(t, nil)
	p.open(t, nil)
	refused, err := p.origin.Open(site, []byte("early"))
	if err != nil {
		t.Fatal(err)
	}
	p.track(refused)
	var e *stream.Error
	if _, err := refused.Read(make([]byte, 1)); !errors.As(err, &e) || e.Reason != cell.TooManyStreams {
		t.Error(err)
	}
	s.Close()
	peer.Close()
	s, peer = p.open(t, []byte("there is room again"))
	s.CloseWrite()
	if got, err := io.ReadAll(peer); err != nil || string(got) != "there is room again" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBadTarget(t *testing.T) {
	p := newPair(0)
	defer p.end(t)
	for id, target := range [][]byte{nil, {0, 0, 4, 127, 0, 0, 1}, {0, 80, 1, 3, 'a', ' ', 'b'}} {
		f := cell.Frame{Type: cell.OpenFrame, Stream: uint32(id) + 1, Data: target}
		if err := p.receive(p.exit, content(f)); err != nil {
			t.Fatal(err)
		}
		got := p.sent(t, &p.back)
		if len(got) != 1 || got[0].Type != cell.ResetFrame || got[0].Reason != cell.BadTarget {
			t.Errorf("target %x was answered with %v", target, got)
		}
	}
	if n := p.exit.Streams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

// Frames that arrive after the end say nothing.
func TestReceiveAfterClose(t *testing.T) {
	p := newPair(0)
	p.exit.Close(errOver)
	for id := range uint32(3) {
		f := cell.Frame{Type: cell.OpenFrame, Stream: id + 1, Data: site.Append(nil)}
		if err := p.receive(p.exit, content(f)); err != nil {
			t.Error(err)
		}
	}
	if len(p.accepted) != 0 || p.exit.Streams() != 0 {
		t.Error("a stream was accepted")
	}
	p.end(t)
}

// A cell full of streams that are refused is answered with one cell.
func TestRefusalsGoTogether(t *testing.T) {
	p := newPair(0)
	var opens []cell.Frame
	for i := range 400 {
		opens = append(opens, cell.Frame{Type: cell.OpenFrame, Stream: uint32(i + 1)})
	}
	if err := p.receive(p.exit, content(opens...)); err != nil {
		t.Fatal(err)
	}
	if n := len(p.back.cells); n != 1 {
		t.Errorf("%d cells", n)
	}
	if n := len(p.sent(t, &p.back)); n != len(opens) {
		t.Errorf("%d refusals, want %d", n, len(opens))
	}
	p.stop()
	p.empty(t)
}
