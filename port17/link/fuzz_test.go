package link_test

import (
	"testing"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

func FuzzHello(f *testing.F) {
	n := newNode(f)
	_, hello := greet(f, n, 1)
	_, other := greet(f, n, 2)
	f.Add(hello[:cell.Size-1])
	f.Add(other)
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, conn := newPeer(t)
		go func() {
			p.conn.Write(b) //nolint:errcheck // Accept tells
			p.conn.Close()
		}()
		if _, err := link.Accept(conn, n.keys, link.Config{}); err == nil {
			t.Error("a hello that nobody made was accepted")
		}
	})
}

// An actor answers and ends circuits as the cells tell it to.
type actor struct {
	t     testing.TB
	leg   *link.Leg
	ended bool
}

func (a *actor) Receive(cells []byte) {
	if a.ended {
		a.t.Error("a cell came after the end")
	}
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if id := cell.ParseHeader(cells).Circuit; id != a.leg.ID() {
			a.t.Errorf("circuit %d got a cell of %d", a.leg.ID(), id)
		}
		switch cells[cell.HeaderSize] % 8 {
		case 1:
			if b := numbered(a.leg.Link(), 0, 1); a.leg.Push(cell.Relay, b...) != nil {
				a.leg.Link().Pool().PutAll(b)
			}
		case 2:
			a.leg.Close(cell.Finished, 0)
			a.ended = true
		case 3:
			a.leg.Abort(cell.Finished, 0)
			a.ended = true
		}
	}
}

func (a *actor) Closed(cell.Reason, uint8) {
	if a.ended {
		a.t.Error("the end was told twice")
	}
	a.ended = true
}

// FuzzCells sends whatever cells to a link: each four bytes are a circuit's
// number, with the top bit for who created it, a command, the first byte of
// the payload, and whether the record ends.
func FuzzCells(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 1, 1, 1, 0, 1, 3, 2, 1, 1, 4, 0, 0, 2, 1, 3, 0, 0, 5, 9, 0})
	f.Add([]byte{1, 1, 0, 0, 2, 1, 4, 0, 3, 1, 0, 1, 1, 4, 1, 0, 1, 3, 0, 0, 2, 3, 1, 1, 0x81, 4, 0, 0})
	f.Add([]byte{0, 7, 0, 1, 0, 6, 1, 0, 0x81, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, l := initiator(t, link.Config{MaxLegs: 3, QueueLimit: 8, Accept: func(g *link.Leg) link.Receiver {
			if g.ID()%5 == 4 {
				return nil
			}
			return &actor{t: t, leg: g}
		}})
		drained := make(chan struct{})
		go func() {
			p.drain()
			close(drained)
		}()
		var cells [][]byte
		for ; len(b) >= 4; b = b[4:] {
			circuit := uint32(b[0]&0x7f) | uint32(b[0]&0x80)<<24
			cells = append(cells, rawCell(circuit, cell.Command(b[1]), b[2:3]))
			if b[3]%2 == 1 || len(cells) == link.MaxCells || len(b) < 8 {
				p.conn.Write(p.record(cells...)) //nolint:errcheck // the link may have ended
				cells = nil
			}
		}
		p.conn.Close()
		end(t, l)
		<-drained
	})
}

// FuzzRecords sends whatever records to a link after a handshake. The first byte
// of each says with which key it is sealed, or that it is not; then come its type
// or key, its number of cells, and with what those begin.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 2, 2, 0, 0, 1, 1, 2, 7})
	f.Add([]byte{0, 1, 16, 0, 0, 2, 1, 0, 1, 1, 1, 5})
	f.Add([]byte{2, 1, 3, 9, 1, 63, 1, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, l := initiator(t, link.Config{MaxLegs: 3, Accept: func(g *link.Leg) link.Receiver { return &actor{t: t, leg: g} }})
		drained := make(chan struct{})
		go func() {
			p.drain()
			close(drained)
		}()
		for ; len(b) >= 4 && l.Err() == nil; b = b[4:] {
			content := make([]byte, int(b[2]%18)*cell.Size)
			for i := 0; i < len(content); i += cell.Size {
				content[i+3], content[i+4] = b[3]>>4, b[3]&0xf
			}
			sealer := p.early
			switch b[0] % 4 {
			case 0:
			case 1:
				p.conn.Write(p.end()) //nolint:errcheck // the link may have ended
				sealer = p.session.Send
			default:
				p.conn.Write(append([]byte{b[1], b[2]}, content...)) //nolint:errcheck // the link may have ended
				continue
			}
			sealed, err := sealer.SealTo([]byte{b[0] % 4, b[2] % 18}, content, b[1]&tinker.MaxType)
			if err != nil {
				break // the early key is over
			}
			p.conn.Write(sealed) //nolint:errcheck // the link may have ended
		}
		p.conn.Close()
		end(t, l)
		<-drained
	})
}
