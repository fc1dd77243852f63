package stream_test

import (
	"encoding/binary"
	"io"
	"testing"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// join makes one input of several cells' contents.
func join(cells ...[]byte) []byte {
	var b []byte
	for _, c := range cells {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(c))), c...)
	}
	return b
}

// split undoes join, and takes what does not fit for the last cell.
func split(b []byte) [][]byte {
	var cells [][]byte
	for len(b) >= 2 {
		n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
		cells = append(cells, b[2:2+min(n, size)])
		b = b[2+n:]
	}
	return cells
}

func FuzzReceive(f *testing.F) {
	open := cell.Frame{Type: cell.OpenFrame, Stream: 3, Data: site.Append(nil)}
	data := cell.Frame{Type: cell.DataFrame, Stream: 3, Data: noise[:3000]}
	small := cell.Frame{Type: cell.DataFrame, Stream: 1, Data: noise[:9]}
	f.Add(true, join(content(open, small), content(data), content(cell.Frame{Type: cell.EndFrame, Stream: 3})))
	f.Add(true, join(content(small, small), content(open, cell.Frame{Type: cell.StopFrame, Stream: 3})))
	f.Add(false, join(content(cell.Frame{Type: cell.OpenedFrame, Stream: 1}, small), content(small)))
	f.Add(false, join(content(cell.Frame{Type: cell.WindowFrame, Stream: 2, Value: 1 << 40}, cell.Frame{Type: cell.AckFrame, Value: 2})))
	f.Add(false, join(content(cell.Frame{Type: cell.ResetFrame, Stream: 1, Reason: cell.Refused}, small)))
	datagram := cell.Frame{Type: cell.DataFrame, Stream: 2, Data: append(cell.AppendDatagramHeader(nil, resolver, 9), noise[:9]...)}
	long := cell.Frame{Type: cell.DataFrame, Stream: 2, Data: append(cell.AppendDatagramHeader(nil, resolver, 9000), noise[:2000]...)}
	f.Add(true, join(content(datagram, small), content(datagram), content(cell.Frame{Type: cell.EndFrame, Stream: 2})))
	f.Add(false, join(content(long), content(datagram), content(long, long), content(cell.Frame{Type: cell.ResetFrame, Stream: 2})))
	f.Add(true, join(content(cell.Frame{Type: cell.OpenFrame, Stream: 3, Data: udp.Append(nil)}, long)))
	f.Fuzz(func(t *testing.T, toExit bool, b []byte) {
		const maxStreams = 4
		p := newPair(maxStreams)
		p.accepted = make(chan *stream.Stream, len(b)+2)
		for _, to := range []cell.Target{site, udp} {
			early := []byte("early")
			if to.UDP {
				early = cell.AppendDatagramHeader(nil, resolver, 0)
			}
			s, err := p.origin.Open(to, early)
			if err != nil {
				t.Fatal(err)
			}
			p.track(s)
		}
		p.origin.Ready()
		p.out.deliver(p.exit)
		to := p.origin
		if toExit {
			to = p.exit
		}
		cells := split(b)
		for _, c := range cells {
			if p.receive(to, c) != nil {
				break
			}
			if n := to.Streams(); n > maxStreams {
				t.Fatalf("%d streams are open", n)
			}
			held := to.Held()
			if held > maxStreams*reach || held > len(cells)*size+10 {
				t.Fatalf("%d bytes are held", held)
			}
			waiting := len(p.back.cells) + len(p.out.cells)
			if n := int(p.pool.Used()) - waiting; n > 4*held/cell.Size+maxStreams {
				t.Fatalf("%d cells are in use to hold %d bytes", n, held)
			}
		}
		if n := len(p.back.cells) + len(p.out.cells); n > 2*len(cells) {
			t.Fatalf("%d cells were answered with %d", len(cells), n)
		}
		p.stop()
		for _, s := range p.streams {
			for d := stream.NewDatagrams(s); s.Target().UDP; {
				n, from, err := d.Receive(make([]byte, cell.MaxDatagram))
				if err != nil {
					break
				}
				if from.Validate() != nil || n > len(cells)*size {
					t.Fatalf("a datagram of %d bytes from %v", n, from)
				}
			}
			io.Copy(io.Discard, s)
		}
		p.empty(t)
	})
}
