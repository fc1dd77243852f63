package link

import (
	"errors"
	"fmt"
	"io"
	"time"

	"safing/port17/cell"
)

// read is the reader: it ends the link when it ends, and tells the receivers.
func (l *Link) read() {
	err := l.readAll()
	l.fail(err)
	l.drop()
	for _, g := range l.legs.all() {
		if g.end() {
			g.receiver.Closed(cell.LinkBroken, 0)
		}
	}
	l.config.Log.Debug("link ended", "error", l.err)
}

func (l *Link) readAll() error {
	if l.handshake != nil {
		if err := l.receiveReply(); err != nil {
			return err
		}
	}
	var header [recordHeader]byte
	have := 0 // bytes of the next header that came with the record before it
	for {
		l.conn.SetReadDeadline(time.Now().Add(idlePings * l.config.PingEvery))
		if have < recordHeader {
			if _, err := io.ReadFull(l.conn, header[have:]); err != nil {
				return fmt.Errorf("read record: %w", bare(err))
			}
		}
		key, size, err := parseRecord(header[:])
		if err != nil {
			return blamed{err, cell.Protocol}
		}
		b := l.config.Pool.GetBlock()
		// One read gets the record and, if it is there already, the next header.
		n, err := io.ReadAtLeast(l.conn, b[:size+recordHeader], size)
		if err != nil {
			return fmt.Errorf("read record: %w", bare(err))
		}
		have = copy(header[:], b[size:n])
		if err := l.receiveRecord(key, b[:size]); err != nil {
			return err
		}
		l.config.Pool.PutBlock(b)
		l.passed(&l.received, size/cell.Size, recordHeader+size, l.config.ReceiveRate)
	}
}

// receiveRecord opens a record in place and hands its cells out.
func (l *Link) receiveRecord(key byte, record []byte) error {
	if err := l.chooseOpener(key); err != nil {
		return blamed{err, cell.Protocol}
	}
	typ, cells, err := l.opener.Open(record)
	if err != nil {
		return fmt.Errorf("open record: %w", err)
	}
	if key == keyEarly && typ == recordEnd && len(cells) == 0 {
		l.opener.Close()
		l.opener, l.early = l.session.Recv, false
		return nil
	}
	if typ != recordCells || len(cells) == 0 {
		return blamed{fmt.Errorf("record of unknown type %d", typ), cell.Protocol}
	}
	if key == keySession {
		l.records++
		l.renew(len(cells) / cell.Size)
	}
	for len(cells) > 0 {
		h := cell.ParseHeader(cells)
		n := sameCircuit(cells, h.Circuit)
		if h.Circuit == 0 {
			err = l.receiveOwn(cells[:n])
		} else {
			err = l.receiveLeg(h, cells[:n])
		}
		if err != nil {
			return blamed{err, cell.Protocol}
		}
		cells = cells[n:]
	}
	return nil
}

func (l *Link) chooseOpener(key byte) error {
	switch {
	case l.initiator:
		if key != keySession {
			return errors.New("record under the early key from a responder")
		}
	case key == keySession && l.early:
		return errors.New("record under the session's key before the end of those under the early key")
	case key == keyEarly && !l.early:
		return errors.New("record under the early key after one under the session's")
	}
	return nil
}

// sameCircuit returns the length of the cells that follow one another on one
// circuit.
func sameCircuit(cells []byte, id uint32) int {
	n := cell.Size
	for n < len(cells) && cell.ParseHeader(cells[n:]).Circuit == id {
		n += cell.Size
	}
	return n
}

// receiveOwn handles the link's own cells.
func (l *Link) receiveOwn(cells []byte) error {
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		payload := cells[cell.HeaderSize:cell.Size]
		switch h := cell.ParseHeader(cells); h.Command {
		case cell.Padding:
		case cell.Ping:
			l.pong(payload)
		case cell.Pong:
			l.receivePong(payload)
		case cell.Auth:
			if err := l.checkAuth(payload); err != nil {
				return err
			}
		case cell.Step:
			if err := l.receiveStep(payload); err != nil {
				return fmt.Errorf("renew keys: %w", err)
			}
		default:
			return fmt.Errorf("cell without circuit has command %d", h.Command)
		}
	}
	return nil
}

// receiveLeg hands cells of one circuit to its receiver.
func (l *Link) receiveLeg(h cell.Header, cells []byte) error {
	g := l.last
	if g == nil || g.id != h.Circuit || g.over.Load() {
		g = l.legs.find(h.Circuit)
		l.last = g
	}
	if g == nil {
		var err error
		if g, err = l.receiveNew(h, cells); g == nil {
			return err
		}
	}
	for whole := 0; ; whole += cell.Size {
		if whole < len(cells) {
			switch command := cell.ParseHeader(cells[whole:]).Command; command {
			case cell.Create, cell.Created, cell.Relay:
				continue
			case cell.Destroy:
			default:
				return fmt.Errorf("cell of a circuit has command %d", command)
			}
		}
		if whole > 0 && !g.over.Load() {
			g.receiver.Receive(cells[:whole])
		}
		if whole < len(cells) {
			l.receiveDestroy(g, cells[whole+cell.HeaderSize:whole+cell.Size])
		}
		return nil
	}
}

// receiveNew handles cells of a circuit that does not exist: the first cell of
// one that the other side creates, or cells that were on their way when the
// circuit ended. The other side's numbers rise, so the two can be told apart.
func (l *Link) receiveNew(h cell.Header, cells []byte) (*Leg, error) {
	own := (h.Circuit&cell.ByResponder == 0) == l.initiator
	if l.legs.used(h.Circuit, own) || h.Command == cell.Destroy {
		return nil, nil
	}
	if own || h.Command != cell.Create {
		return nil, fmt.Errorf("cell with command %d for a circuit that never was", h.Command)
	}
	g := &Leg{link: l, id: h.Circuit, started: true}
	if l.legs.addOther(g, l.config.MaxLegs) {
		if l.config.Accept != nil {
			g.receiver = l.config.Accept(g)
		}
		if g.receiver != nil {
			l.last = g
			return g, nil
		}
		l.legs.remove(g)
		g.end()
	}
	g.reason = cell.Busy
	refusal := destroyCell(g, l.config.Pool)
	if !l.out.send(refusal) {
		l.config.Pool.Put(refusal)
	}
	return nil, nil
}

// receiveDestroy ends a leg because the other side has.
func (l *Link) receiveDestroy(g *Leg, payload []byte) {
	l.legs.remove(g)
	l.last = nil
	if g.end() {
		g.receiver.Closed(cell.ParseDestroy(payload))
	}
}
