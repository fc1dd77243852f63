package link_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

const label = "port17 link v1"

// A peer speaks the protocol by hand, so that it can break it.
type peer struct {
	t       testing.TB
	conn    net.Conn
	early   *tinker.Sealer // initiators only
	openers [2]*tinker.Opener
	session *tinker.Session
	over    bool // the end of the early records was sent
}

// initiator makes a peer that has linked to a responder.
func initiator(t testing.TB, c link.Config) (*peer, *link.Link) {
	t.Helper()
	n := newNode(t)
	p, conn := newPeer(t)
	done := make(chan accepted, 1)
	go func() {
		l, err := link.Accept(conn, n.keys, c)
		done <- accepted{l, err}
	}()
	handshake, hello := greet(t, n, 1)
	p.write(hello)
	reply, err := readFrame(p.conn, 0)
	if err != nil {
		t.Fatal(err)
	}
	if p.session, err = handshake.Finish(reply[:tinker.TK1.ReplySize()]); err != nil {
		t.Fatal(err)
	}
	p.early, p.openers[1] = handshake.Early(), p.session.Recv
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	t.Cleanup(func() { end(t, a.link) })
	return p, a.link
}

// responder makes a peer that an initiator has linked to.
func responder(t testing.TB, c link.Config) (*peer, *link.Link) {
	t.Helper()
	n := newNode(t)
	p, conn := newPeer(t)
	reply := make(chan []byte)
	go func() {
		hello, _ := readFrame(p.conn, 0)
		r, err := n.keys.Respond(label, hello)
		if err != nil {
			t.Error(err)
			close(reply)
			return
		}
		p.session, p.openers = r.Session, [2]*tinker.Opener{r.Early, r.Session.Recv}
		reply <- append(r.Reply, make([]byte, cell.Size-len(r.Reply))...)
	}()
	l := initiate(t, conn, n, c)
	p.write(<-reply)
	return p, l
}

func newPeer(t testing.TB) (*peer, net.Conn) {
	a, b := net.Pipe()
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return &peer{t: t, conn: a}, b
}

func greet(t testing.TB, n *node, version byte) (*tinker.Initiator, []byte) {
	t.Helper()
	to, err := n.Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, cell.Size-tinker.TK1.HelloOverhead())
	payload[0] = version
	handshake, hello, err := tinker.Initiate(to, label, payload)
	if err != nil {
		t.Fatal(err)
	}
	return handshake, hello
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Error(err)
	}
}

// record seals cells under the session's key.
func (p *peer) record(cells ...[]byte) []byte {
	return append(p.end(), record(p.session.Send, 1, 1, cells...)...)
}

// end is the record that has to come before those under the session's key.
func (p *peer) end() []byte {
	if p.early == nil || p.over {
		return nil
	}
	p.over = true
	return record(p.early, 0, 2)
}

func record(s *tinker.Sealer, key, typ byte, cells ...[]byte) []byte {
	var content []byte
	for _, c := range cells {
		content = append(content, c...)
	}
	sealed, err := s.SealTo([]byte{key, byte(len(cells))}, content, typ)
	if err != nil {
		panic(err) // nothing here comes to a limit
	}
	return sealed
}

// read returns the cells of the next record.
func (p *peer) read() ([][]byte, error) {
	frame, err := readFrame(p.conn, 1)
	if err != nil {
		return nil, err
	}
	_, content, err := p.openers[frame[0]].Open(frame[2:])
	var cells [][]byte
	if err == nil && len(content) == 0 { // the last one under the early key
		return p.read()
	}
	for ; len(content) > 0; content = content[cell.Size:] {
		cells = append(cells, content[:cell.Size])
	}
	return cells, err
}

func (p *peer) mustRead() [][]byte {
	p.t.Helper()
	cells, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	return cells
}

// drain reads until the link ends.
func (p *peer) drain() { io.Copy(io.Discard, p.conn) } //nolint:errcheck // it ends with the link

func rawCell(circuit uint32, command cell.Command, payload []byte) []byte {
	b := make([]byte, cell.Size)
	cell.Header{Circuit: circuit, Command: command}.Put(b)
	copy(b[cell.HeaderSize:], payload)
	return b
}

// burst is what creates a circuit.
func burst(circuit uint32) [][]byte {
	var cells [][]byte
	for n := range uint32(4) {
		cells = append(cells, rawCell(circuit, cell.Create, contents(n)))
	}
	return cells
}

func wantError(t testing.TB, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q in it", what, err, want)
	}
}

// proof is the AUTH cell of docs/spec/port17.md#links.
func (p *peer) proof(key ed25519.PrivateKey) []byte {
	signed := append([]byte(label+"\x00"), p.session.Transcript[:]...)
	return rawCell(0, cell.Auth, append(key.Public().(ed25519.PublicKey), ed25519.Sign(key, signed)...))
}

// A peer that breaks the protocol ends the link and all circuits on it.
func TestBadPeer(t *testing.T) {
	key := newNode(t).key
	padding := rawCell(0, cell.Padding, nil)
	unsigned := rawCell(0, cell.Auth, key.Public().(ed25519.PublicKey))
	const own, other, never = 1, cell.ByResponder | 1, 7 // as the initiator numbers circuits
	for _, test := range []struct {
		name   string
		reason string
		send   func(*peer) []byte
	}{
		{"no cells", "record with key 1 and 0 cells", func(*peer) []byte { return []byte{1, 0} }},
		{"too many cells", "record with key 1 and 17 cells", func(*peer) []byte { return []byte{1, 17} }},
		{"unknown key", "record with key 2", func(*peer) []byte { return []byte{2, 1} }},
		{"unknown type", "record of unknown type 2", func(p *peer) []byte { return append(p.end(), record(p.session.Send, 1, 2, padding)...) }},
		{"unknown type, early", "record of unknown type 3", func(p *peer) []byte { return record(p.early, 0, 3, padding) }},
		{"no cells, early", "record of unknown type 1", func(p *peer) []byte { return record(p.early, 0, 1) }},
		{"cells in the end", "record of unknown type 2", func(p *peer) []byte { return record(p.early, 0, 2, padding) }},
		{"no end", "before the end", func(p *peer) []byte { return record(p.session.Send, 1, 1, padding) }},
		{"lost before the end", "does not open", func(p *peer) []byte {
			record(p.early, 0, 1, padding)
			return p.record(padding)
		}},
		{"cells after the end", "early key after", func(p *peer) []byte { return append(p.end(), record(p.early, 0, 1, padding)...) }},
		{"early key, late", "early key after", func(p *peer) []byte { return append(p.record(padding), record(p.early, 0, 1, padding)...) }},
		{"circuit's command", "cell without circuit has command 3", func(p *peer) []byte { return p.record(rawCell(0, cell.Relay, nil)) }},
		{"unknown command", "cell without circuit has command 9", func(p *peer) []byte { return p.record(rawCell(0, 9, nil)) }},
		{"link's command", "cell of a circuit has command 5", func(p *peer) []byte { return p.record(rawCell(own, cell.Ping, nil)) }},
		{"no circuit", "command 3 for a circuit that never was", func(p *peer) []byte { return p.record(rawCell(never, cell.Relay, nil)) }},
		{"wrong number", "command 1 for a circuit that never was", func(p *peer) []byte { return p.record(rawCell(other, cell.Create, nil)) }},
		{"proof with a wrong signature", "wrong proof of identity", func(p *peer) []byte { return p.record(unsigned) }},
		{"late proof", "out of place", func(p *peer) []byte { return append(p.record(padding), p.record(p.proof(key))...) }},
		{"early proof", "out of place", func(p *peer) []byte { return record(p.early, 0, 1, p.proof(key)) }},
		{"proof twice", "out of place", func(p *peer) []byte { return p.record(p.proof(key), p.proof(key)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTaker()
			p, l := initiator(t, k.config(t, false))
			p.write(record(p.early, 0, 1, burst(own)...))
			in := <-k
			in.want(t, 0, 4)
			go p.drain()
			p.conn.Write(test.send(p)) //nolint:errcheck // the link may end before it has read all
			<-l.Done()
			wantError(t, "the link", l.Err(), test.reason)
			if got, want := link.Reason(l.Err()), map[bool]cell.Reason{true: cell.Altered, false: cell.Protocol}[test.reason == "does not open"]; got != want {
				t.Errorf("the link ended: %s, want %s", got, want)
			}
			in.wantEnd(t, cell.LinkBroken, 0)
		})
	}
}

func TestBadResponder(t *testing.T) {
	key := newNode(t).key
	for _, test := range []struct {
		name   string
		reason string
		send   func(*peer) []byte
	}{
		{"early key", "early key from a responder", func(p *peer) []byte { return record(p.session.Send, 0, 1, rawCell(0, cell.Padding, nil)) }},
		{"proof", "out of place", func(p *peer) []byte { return p.record(p.proof(key)) }},
		{"wrong number", "command 1 for a circuit that never was", func(p *peer) []byte { return p.record(rawCell(7, cell.Create, nil)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, l := responder(t, newTaker().config(t, false))
			go p.drain()
			p.conn.Write(test.send(p)) //nolint:errcheck // the link may end before it has read all
			<-l.Done()
			wantError(t, "the link", l.Err(), test.reason)
		})
	}
}

// What may be on its way when a circuit ends, and what nobody needs, changes
// nothing.
func TestIgnored(t *testing.T) {
	k := newTaker()
	p, l := initiator(t, k.config(t, false))
	p.write(p.record(burst(5)...))
	in := <-k
	in.want(t, 0, 4)
	p.write(p.record(
		rawCell(5, cell.Destroy, []byte{byte(cell.Finished), 3}),
		rawCell(5, cell.Relay, nil),
		rawCell(5, cell.Destroy, nil),
		rawCell(4, cell.Create, nil),
		rawCell(9, cell.Destroy, nil),
		rawCell(0, cell.Padding, nil),
		rawCell(0, cell.Pong, binary.BigEndian.AppendUint64(nil, 77)),
		rawCell(0, cell.Ping, binary.BigEndian.AppendUint64(nil, 88)),
	))
	in.wantEnd(t, cell.Finished, 3)
	cells := p.mustRead()
	if h := cell.ParseHeader(cells[0]); h != (cell.Header{Command: cell.Pong}) || binary.BigEndian.Uint64(cells[0][cell.HeaderSize:]) != 88 {
		t.Errorf("a ping was answered with %+v, % x", h, cells[0][cell.HeaderSize:][:8])
	}
	if l.Err() != nil || l.RTT() != 0 || l.Legs() != 0 || len(k) > 0 {
		t.Errorf("the link says %v, round trip %v, %d circuits", l.Err(), l.RTT(), l.Legs())
	}
}
