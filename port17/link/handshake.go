package link

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"safing/internal/dial"
	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link/wrap"
	"safing/tinker"
)

// label separates the hellos of links from those of circuits.
const label = "port17 link v1"

// version is the first byte that a hello carries; the rest of it is zeros that
// fill the hello up to the size of a cell.
const version = 1

// authPrefix separates the signatures of links from others of the same key.
const authPrefix = label + "\x00"

// Dial connects to a node in one of Config.Wrappings. It returns as soon as one
// of the node's addresses and entrances, which it tries in turn without waiting
// long, accepts the connection: cells may be sent then, before the node has
// answered. If the node's answer is wrong or does not come, the link ends.
func Dial(ctx context.Context, n netmap.Node, c Config) (*Link, error) {
	to, err := n.RecipientBy(cmp.Or(c.At, time.Now()), c.Policies)
	if err != nil {
		return nil, fmt.Errorf("dial node %s: %w", n.ID.Short(), err)
	}
	conn, err := dial.Any(ctx, ways(n, c.Wrappings), func(ctx context.Context, e netmap.Entrance) (net.Conn, error) {
		return wrap.Dial(ctx, n.ID, e)
	})
	if err != nil {
		return nil, fmt.Errorf("dial node %s: %w", n.ID.Short(), err)
	}
	l, err := Initiate(conn, n.ID, to, c)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial node %s: %w", n.ID.Short(), err)
	}
	return l, nil
}

// ways returns how to connect to the node, in the order of the wrappings.
func ways(n netmap.Node, in []netmap.Wrapping) []netmap.Entrance {
	if len(in) == 0 {
		return n.Ways(netmap.TCP)
	}
	var all []netmap.Entrance
	for _, w := range in {
		all = append(all, n.Ways(w)...)
	}
	return all
}

// Initiate makes a link of a fresh connection to the node, which belongs to
// the link unless there is an error.
func Initiate(conn net.Conn, node netmap.NodeID, to tinker.Recipient, c Config) (*Link, error) {
	if c.Policies != nil {
		if err := c.Policies.Check(to.Prekey.Suite); err != nil {
			return nil, err
		}
	}
	payload := make([]byte, cell.Size-to.Prekey.Suite.HelloOverhead())
	payload[0] = version
	handshake, hello, err := tinker.Initiate(to, label, payload)
	if err != nil {
		return nil, err
	}
	tune(conn)
	l := newLink(conn, c)
	l.initiator, l.remote, l.handshake, l.begun = true, node, handshake, time.Now()
	conn.SetWriteDeadline(time.Now().Add(handshakeTimeout))
	if _, err := conn.Write(hello); err != nil {
		handshake.Close()
		return nil, fmt.Errorf("send hello: %w", bare(err))
	}
	l.start(handshake.Early())
	return l, nil
}

// A Responder answers hellos, as [tinker.Prekeys] do of one suite.
type Responder interface {
	Respond(label string, hello []byte) (*tinker.Response, error)
}

// Accept answers the hello on a connection that was accepted from a listener.
// It blocks for at most ten seconds. The connection belongs to the link unless
// there is an error.
func Accept(conn net.Conn, keys Responder, c Config) (*Link, error) {
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	response, err := respond(conn, keys, c.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("accept link: %w", err)
	}
	conn.SetDeadline(time.Time{})
	tune(conn)
	response.Session.Limit(limits())
	l := newLink(conn, c)
	l.opener, l.session, l.early = response.Early, response.Session, true
	l.start(response.Session.Send)
	return l, nil
}

// respond reads a hello and sends the reply to it.
func respond(conn net.Conn, keys Responder, descriptor func() []byte) (*tinker.Response, error) {
	hello := make([]byte, cell.Size)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return nil, fmt.Errorf("read hello: %w", bare(err))
	}
	response, err := keys.Respond(label, hello)
	if HelloReason(err) == cell.UnknownPrekey && descriptor != nil {
		if retry, tooLong := tinker.Retry(descriptor()); tooLong == nil {
			sendReply(conn, retry) //nolint:errcheck // the link ends in any case
			linger(conn)
		}
	}
	if err != nil {
		return nil, blamed{err, cell.BadHello}
	}
	if len(response.Payload) == 0 || response.Payload[0] != version {
		err = blamed{errors.New("hello of an unknown version"), cell.BadHello}
	} else if err = sendReply(conn, response.Reply); err != nil {
		err = fmt.Errorf("send reply: %w", err)
	}
	if err != nil {
		response.Early.Close()
		response.Session.Close()
		return nil, err
	}
	return response, nil
}

// linger waits until the other side has read what was sent last and ends the
// connection, but not for long: to close one while something comes loses that.
func linger(conn net.Conn) {
	if c, ok := conn.(closeWriter); ok {
		conn.SetDeadline(time.Now().Add(finishTimeout))
		c.CloseWrite()                                       //nolint:errcheck // the link ends in any case
		io.Copy(io.Discard, io.LimitReader(conn, mostEarly)) //nolint:errcheck // the link ends in any case
	}
}

// sendReply fills the reply up to the size of a cell.
func sendReply(conn net.Conn, reply []byte) error {
	if len(reply) > cell.Size {
		return errors.New("it is longer than a cell")
	}
	b := make([]byte, cell.Size)
	rand.Read(b[copy(b, reply):])
	_, err := conn.Write(b)
	return bare(err)
}

// receiveReply waits for the responder's reply and changes to the keys that it
// brings.
func (l *Link) receiveReply() error {
	l.conn.SetReadDeadline(l.begun.Add(handshakeTimeout))
	reply := make([]byte, cell.Size)
	if _, err := io.ReadFull(l.conn, reply); err != nil {
		return fmt.Errorf("read reply: %w", bare(err))
	}
	l.rtt.add(time.Since(l.begun))
	reply, _, err := l.handshake.SplitReply(reply)
	if err != nil {
		return fmt.Errorf("check reply: %w", err)
	}
	session, err := l.handshake.Finish(reply)
	if err != nil {
		return fmt.Errorf("check reply: %w", err)
	}
	session.Limit(limits())
	l.handshake, l.opener, l.session, l.renewed = nil, session.Recv, session, time.Now()
	if l.config.Identity == nil {
		l.out.rekey(session.Send, nil)
	} else {
		l.out.rekey(session.Send, l.authCell())
		l.ping()
	}
	l.authenticated()
	return nil
}

func (l *Link) authenticated() {
	if l.config.Authenticated != nil {
		l.config.Authenticated(l)
	}
}

// authCell proves the initiator's identity:
//
//	header ‖ node's id (32) ‖ signature of "port17 link v1" ‖ 0 ‖ transcript (64) ‖ zeros
func (l *Link) authCell() *cell.Buf {
	b := l.config.Pool.Get()
	clear(b[:])
	cell.Header{Command: cell.Auth}.Put(b[:])
	payload := b[cell.HeaderSize:]
	n := copy(payload, l.config.Identity.Public().(ed25519.PublicKey))
	copy(payload[n:], ed25519.Sign(l.config.Identity, append([]byte(authPrefix), l.session.Transcript[:]...)))
	return b
}

// checkAuth takes the initiator's proof, which has to come first in the first
// record under the session's key.
func (l *Link) checkAuth(payload []byte) error {
	if l.initiator || l.records != 1 || l.peer.Load() != nil {
		return errors.New("proof of identity out of place")
	}
	var id netmap.NodeID
	n := copy(id[:], payload)
	signature := payload[n : n+ed25519.SignatureSize]
	if !ed25519.Verify(id[:], append([]byte(authPrefix), l.session.Transcript[:]...), signature) {
		return errors.New("wrong proof of identity")
	}
	l.peer.Store(&id)
	l.ping()
	l.authenticated()
	return nil
}
