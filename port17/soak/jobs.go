package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"safing/internal/socks"
)

// down downloads size bytes.
func (w *worker) down(size int64) error {
	conn, p, err := w.open(download, size)
	if err != nil {
		return err
	}
	defer conn.Close()
	return w.finish(conn, p, size)
}

// finish reads size bytes and the end.
func (w *worker) finish(conn wire, p *pattern, size int64) error {
	if err := receive(conn, p, size); err != nil {
		return err
	}
	if err := end(conn); err != nil {
		return err
	}
	w.load.tally.bytes.Add(uint64(size))
	return nil
}

func small(ctx context.Context, w *worker) error {
	err := w.down(w.size(1, 64<<10))
	w.pause(ctx, 0, 200*time.Millisecond)
	return err
}

func bulkDown(_ context.Context, w *worker) error { return w.down(w.size(1<<20, w.load.config.Bulk)) }

func bulkUp(_ context.Context, w *worker) error {
	size := w.size(1<<20, w.load.config.Bulk)
	conn, p, err := w.open(upload, size)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := send(conn, p, size); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	verdict := make([]byte, 1)
	if _, err := io.ReadFull(conn, verdict); err == io.EOF {
		return wrongf("an upload ended without an error and without an answer")
	} else if err != nil {
		return err
	}
	if verdict[0] != uploadRight {
		return wrongf("the server got other bytes than were sent")
	}
	w.load.tally.bytes.Add(uint64(size))
	return end(conn)
}

// halfClose sends all, says so, and gets all back.
func halfClose(_ context.Context, w *worker) error {
	size := w.size(1, min(4<<20, w.load.config.Bulk))
	conn, p, err := w.open(echo, 0)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	again := *p
	source := *p.source // both ends of the stream have the pattern's beginning
	again.source = &source
	go func() {
		err := send(conn, &again, size)
		if err == nil {
			err = conn.CloseWrite()
		}
		sent <- err
	}()
	err = w.finish(conn, p, size)
	if err != nil {
		conn.Close() // so that sending ends
	}
	failed := <-sent
	if errors.Is(failed, syscall.ECONNRESET) || errors.Is(failed, syscall.EPIPE) {
		return failed // the system tells of a reset once: who reads after that finds an end
	}
	return errors.Join(err, failed)
}

// idle exchanges a message now and then.
func idle(ctx context.Context, w *worker) error {
	conn, _, err := w.open(ping, 0)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 1 + w.lots.IntN(10) {
		var b, got [8]byte
		binary.BigEndian.PutUint64(b[:], w.lots.Uint64())
		if _, err := conn.Write(b[:]); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return wrongf("an idle stream ended without an error")
		} else if err != nil {
			return err
		}
		if got != b {
			return wrongf("an idle stream answered %x to %x", got, b)
		}
		w.pause(ctx, 0, w.load.config.Idle)
		if ctx.Err() != nil {
			break
		}
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	return end(conn)
}

// stall asks for much, reads nothing for a while, and then goes on or goes away.
func stall(ctx context.Context, w *worker) error {
	size := w.size(1<<20, w.load.config.Bulk)
	conn, p, err := w.open(download, size)
	if err != nil {
		return err
	}
	defer conn.Close()
	w.pause(ctx, w.load.config.Idle/10, w.load.config.Idle/3)
	if w.lots.IntN(2) == 0 {
		return nil
	}
	return w.finish(conn, p, size)
}

// vanish ends a stream of either direction abruptly, and what came was right.
func vanish(ctx context.Context, w *worker) error {
	size := w.size(1<<20, w.load.config.Bulk)
	k := upload
	if w.lots.IntN(2) == 0 {
		k = download
	}
	conn, p, err := w.open(k, size)
	if err != nil {
		return err
	}
	defer conn.vanish()
	part := w.lots.Int64N(min(size, 1<<20))
	if k == upload {
		err = send(conn, p, part)
	} else {
		err = receive(conn, p, part)
	}
	w.pause(ctx, 0, 100*time.Millisecond)
	return err
}

// cutByServer is a download in whose middle the server resets: the user must
// not take it for a whole one.
func cutByServer(ctx context.Context, w *worker) error {
	size := w.size(1, 1<<20)
	conn, p, err := w.open(cut, size)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = receive(conn, p, size); err == nil {
		if err = end(conn); err == nil {
			return wrongf("a stream that the server has reset ended without an error")
		}
	}
	w.pause(ctx, 0, 200*time.Millisecond)
	if _, bad := err.(wrong); bad {
		return err
	}
	return nil
}

const datagramWait = 2 * time.Second // after which one counts as lost

// datagrams sends some and gets each back as it was, or not at all.
func datagrams(ctx context.Context, w *worker) error {
	conn, err := w.associate()
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := make(chan error, 1)
	go func() { ended <- conn.Ended() }()
	server := net.UDPAddrFromAddrPort(w.load.config.UDP)
	buf := make([]byte, 1<<16)
	for i := range 10 + w.lots.IntN(90) {
		b := make([]byte, 12+w.size(0, 1400))
		binary.BigEndian.PutUint32(b, uint32(i))
		binary.BigEndian.PutUint64(b[4:], w.lots.Uint64())
		newPattern(binary.BigEndian.Uint64(b[4:])).Read(b[12:]) //nolint:errcheck // it has none
		if _, err := conn.WriteTo(b, server); err != nil {
			return fmt.Errorf("send a datagram: %w", err)
		}
		w.load.tally.datagrams.Add(1)
		if err := w.await(conn, buf, b); err != nil {
			return err
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the association has ended: %w", err)
		default:
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

func (w *worker) associate() (*socks.PacketConn, error) {
	control, err := w.dial()
	if err != nil {
		return nil, err
	}
	relay, err := socks.Associate(control, w.user())
	if err != nil {
		control.Close()
		return nil, err
	}
	control.SetDeadline(time.Time{}) //nolint:errcheck // a closed connection fails soon enough
	var socket net.PacketConn
	err = w.proxy.in(func() (err error) {
		socket, err = net.ListenUDP("udp", &net.UDPAddr{IP: relay.Addr().AsSlice()})
		return err
	})
	if err != nil {
		control.Close()
		return nil, err
	}
	return socks.NewPacketConn(control.TCPConn, socket, relay), nil
}

// await reads datagrams until the one that was sent last comes back. Earlier
// ones may come late.
func (w *worker) await(conn *socks.PacketConn, buf, sent []byte) error {
	conn.SetReadDeadline(time.Now().Add(datagramWait)) //nolint:errcheck // a closed socket fails below
	for {
		n, from, err := conn.ReadFrom(buf)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			w.load.tally.lost.Add(1)
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive a datagram: %w", err)
		}
		if from.String() != w.load.config.UDP.String() || n < 12 {
			return wrongf("a datagram of %d bytes from elsewhere", n)
		}
		if err := newPattern(binary.BigEndian.Uint64(buf[4:])).check(buf[12:n]); err != nil {
			return wrongf("a datagram: %v", err)
		}
		if binary.BigEndian.Uint32(buf) == binary.BigEndian.Uint32(sent) {
			if n != len(sent) {
				return wrongf("a datagram of %d bytes came back with %d", len(sent), n)
			}
			return nil
		}
	}
}
