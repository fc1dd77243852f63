package client

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// An outlet that ends because it was idle takes nothing with it: the next
// datagram gets another. Any other end is the association's.
func TestOutletEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	user, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	control, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	mux := stream.New(stream.Config{Pool: new(cell.Pool)})
	a := &association{control: control.(*net.TCPConn)}
	end := func(reason cell.Reason) {
		t.Helper()
		s, err := mux.Open(cell.Target{UDP: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Reset(reason)
		p := &PacketConn{shared: new(shared), started: make(chan struct{}), packets: stream.NewDatagrams(s)}
		p.starting.Do(func() { close(p.started) })
		a.outlets = []*PacketConn{p}
		if a.back(p); len(a.outlets) != 0 {
			t.Errorf("%v: the outlet is still used", reason)
		}
	}
	end(cell.Idle)
	if _, err := control.Write([]byte("x")); err != nil {
		t.Errorf("the user's connection has ended: %v", err)
	}
	end(cell.Failed)
	user.SetReadDeadline(time.Now().Add(20 * time.Second))
	for err = nil; err == nil; {
		_, err = user.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the user's connection ended: %v", err)
	}
}
