package client

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"safing/netmap/netmaptest"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/port17/route"
)

// Deadlines that are set before the first data neither wait for a stream nor
// open one without the data, and count once there is one.
func TestDeadlinesBeforeData(t *testing.T) {
	c := &Conn{started: make(chan struct{})}
	c.SetDeadline(time.Now().Add(-time.Second))
	c.SetWriteDeadline(time.Time{})
	select {
	case <-c.started:
		t.Fatal("a deadline has opened the stream")
	default:
	}
	m := stream.New(stream.Config{Pool: new(cell.Pool), Send: func([]*cell.Buf) error { return nil }})
	to, err := Request{Addr: netip.MustParseAddrPort("192.0.2.1:80")}.target()
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Open(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.deadlines.apply(s)
	if _, err := s.Read(make([]byte, 1)); err == nil || !timedOut(err) {
		t.Errorf("read after the deadline: %v", err)
	}
	m.Close(errors.New("over"))
}

// Who gives up before there is a route gets that, and leaves nothing behind.
func TestDialIsCancelled(t *testing.T) {
	c, err := New(t.Context(), Config{Network: netmaptest.Silent(), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.setMap(newMap(t, 0, 6))
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	r := Request{Addr: netip.MustParseAddrPort("8.8.8.8:443"), Level: route.High}
	if _, err := c.Dial(ctx, r); !errors.Is(err, why) {
		t.Errorf("dial: %v", err)
	}
	if _, err := c.ListenPacket(ctx, r); !errors.Is(err, why) {
		t.Errorf("listen: %v", err)
	}
	if v := c.Circuits(); len(v) != 0 {
		t.Errorf("circuits %+v", v)
	}
	if failed := c.failures.now(); len(failed) != 0 {
		t.Errorf("%d nodes are left out", len(failed))
	}
}
