package link_test

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

func TestWrongNode(t *testing.T) {
	other, err := newNode(t).Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*tinker.Recipient)
		want   error
	}{
		"identity": {func(r *tinker.Recipient) { r.Identity = other.Identity }, tinker.ErrDecrypt},
		"binding":  {func(r *tinker.Recipient) { r.Binding[0]++ }, tinker.ErrDecrypt},
		"prekey":   {func(r *tinker.Recipient) { r.Prekey = other.Prekey }, tinker.ErrUnknownPrekey},
		"node":     {func(r *tinker.Recipient) { *r = other }, tinker.ErrUnknownPrekey},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTaker()
			n := listen(t, k.config(t, false))
			to, err := n.Recipient(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			test.change(&to)
			conn, err := net.Dial("tcp", n.Addresses[0].String())
			if err != nil {
				t.Fatal(err)
			}
			l, err := link.Initiate(conn, n.ID, to, link.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { end(t, l) })
			if a := <-n.accepted; !errors.Is(a.err, test.want) {
				t.Errorf("the node says %v, want %v", a.err, test.want)
			}
			<-l.Done()
			if l.Err() == nil || errors.Is(l.Err(), link.ErrClosed) || l.RTT() != 0 {
				t.Errorf("the initiator says %v", l.Err())
			}
			if len(k) > 0 {
				t.Error("a circuit was created")
			}
		})
	}
}

func TestDialErrors(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := newNode(t, gone.Addr().(*net.TCPAddr).AddrPort())
	gone.Close()
	suite, expired, none, nowhere := listen(t, link.Config{}), listen(t, link.Config{}), listen(t, link.Config{}), newNode(t)
	suite.Keys.Prekeys[0].Suite = 99
	suite.Keys.Prekeys = suite.Keys.Prekeys[:1]
	expired.Keys.Prekeys = expired.Keys.Prekeys[:1]
	expired.Keys.Prekeys[0].NotAfter = expired.Keys.Prekeys[0].NotBefore
	expired.Keys.Prekeys[0].NotBefore--
	none.Keys.Prekeys = nil
	for _, test := range []struct {
		name string
		node *node
		want string
	}{
		{"refused", closed, "connection refused"},
		{"suite", suite, "unknown suite 99"},
		{"expired", expired, "outside its slot"},
		{"no prekey", none, "it has published none"},
		{"no address", nowhere, "there is no address for it"},
	} {
		l, err := link.Dial(t.Context(), test.node.Node, link.Config{})
		wantError(t, test.name, err, "dial node "+test.node.ID.Short())
		wantError(t, test.name, err, test.want)
		if l != nil {
			t.Errorf("%s: there is a link", test.name)
		}
	}
}

func TestBadHello(t *testing.T) {
	n := newNode(t)
	_, good := greet(t, n, 1)
	_, other := greet(t, n, 2)
	for _, test := range []struct {
		name  string
		hello []byte
		want  string
	}{
		{"nothing", nil, "read hello: EOF"},
		{"too short", good[:cell.Size-1], "read hello: unexpected EOF"},
		{"zeros", make([]byte, cell.Size), "unknown suite 0"},
		{"version", other, "hello of an unknown version"},
	} {
		p, conn := newPeer(t)
		go func() {
			p.conn.Write(test.hello) //nolint:errcheck // Accept tells
			p.conn.Close()
		}()
		l, err := link.Accept(conn, n.keys, link.Config{})
		wantError(t, test.name, err, test.want)
		if l != nil {
			t.Errorf("%s: there is a link", test.name)
		}
	}
}

func TestBadReply(t *testing.T) {
	for _, test := range []struct {
		name  string
		reply []byte
		want  string
	}{
		{"nothing", nil, "read reply: EOF"},
		{"too short", make([]byte, cell.Size-1), "read reply: unexpected EOF"},
		{"not its own", make([]byte, cell.Size), "check reply: read the reply: message does not open"},
	} {
		p, conn := newPeer(t)
		opened := make(chan struct{})
		go func() {
			for i := range 2 {
				readFrame(p.conn, i) //nolint:errcheck // the link tells
			}
			<-opened
			p.conn.Write(test.reply) //nolint:errcheck // the link tells
			p.conn.Close()
		}()
		l := initiate(t, conn, newNode(t), link.Config{})
		_, in := open(t, l)
		close(opened)
		<-l.Done()
		wantError(t, test.name, l.Err(), test.want)
		in.wantEnd(t, cell.LinkBroken, 0)
	}
}

// The early key is forgotten with the link, though nothing was sent after the
// reply.
func TestEarlyKeyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := responder(t, link.Config{})
		synctest.Wait()
		if <-l.Measured(); l.RTT() == 0 {
			t.Error("the reply was no round trip")
		}
		early := l.Sealer()
		l.Close()
		<-l.Done()
		if _, err := early.SealTo(nil, []byte("x"), 1); !errors.Is(err, tinker.ErrClosed) {
			t.Errorf("seal with the early key: %v, want %v", err, tinker.ErrClosed)
		}
	})
}
