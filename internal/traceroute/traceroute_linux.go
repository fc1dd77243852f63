package traceroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// firstPort is where traceroute has always begun; each probe has its own port,
// by which its answer is known.
const firstPort = 33434

// Trace finds the path to an address. With the defaults it takes 2 s if nobody
// answers at all, as long where the destination does not, and 8 s at most. When
// ctx ends, it returns what was found so far with the error.
func Trace(ctx context.Context, to netip.Addr, c Config) (Path, error) {
	to = to.Unmap()
	if !to.IsValid() || to.IsUnspecified() || to.IsMulticast() {
		return Path{}, fmt.Errorf("trace the path to %s: it is no host's address", to)
	}
	s, err := open(ctx, to)
	if err != nil {
		return Path{}, fmt.Errorf("trace the path to %s: %w", to, err)
	}
	defer s.close()
	t := newTrace(c)
	if err := s.run(ctx, t); err != nil {
		return t.path(), fmt.Errorf("trace the path to %s: %w", to, err)
	}
	return t.path(), nil
}

// A socket sends probes and reads answers.
type socket struct {
	fd     int
	wake   int // an eventfd that is readable when ctx has ended
	unwake func() bool
	to     netip.Addr
	oob    []byte
}

func open(ctx context.Context, to netip.Addr) (*socket, error) {
	family, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_RECVERR
	if to.Is6() {
		family, level, option = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ask for ICMP errors: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	s := &socket{fd: fd, wake: wake, to: to, oob: make([]byte, 512)}
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		// The counter cannot be full, so this cannot fail.
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	s.unwake = func() bool {
		stopped := stop()
		if !stopped {
			<-told // or it would write to a descriptor that is another's by then
		}
		return stopped
	}
	return s, nil
}

func (s *socket) close() {
	s.unwake()
	unix.Close(s.wake)
	unix.Close(s.fd)
}

// run sends and receives until nothing more is to come.
func (s *socket) run(ctx context.Context, t *trace) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		for {
			index, attempt, ok := t.next(time.Now())
			if !ok {
				break
			}
			if err := s.send(index+1, firstPort+attempt*maxHops+index); err != nil {
				return err
			}
		}
		until, ok := t.wake(time.Now())
		if !ok {
			return nil
		}
		if err := s.await(until); err != nil {
			return err
		}
		if err := s.receive(t); err != nil {
			return err
		}
	}
}

// send sends an empty probe. An ICMP error that has come makes the next call
// fail, though it is in the queue; so it tries again.
func (s *socket) send(ttl, port int) error {
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: port, Addr: s.to.As16()}
	level, option := unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	if s.to.Is4() {
		to, level, option = &unix.SockaddrInet4{Port: port, Addr: s.to.As4()}, unix.IPPROTO_IP, unix.IP_TTL
	}
	if err := unix.SetsockoptInt(s.fd, level, option, ttl); err != nil {
		return fmt.Errorf("set the time to live: %w", err)
	}
	var err error
	for range maxParallel + 1 { // no more errors than probes under way
		err = unix.Sendto(s.fd, nil, 0, to)
		if err == nil || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) { // lost like others
			return nil
		}
	}
	return fmt.Errorf("send a probe: %w", err)
}

// await returns when something has come, at the time, or when ctx ends.
func (s *socket) await(until time.Time) error {
	left := max(time.Until(until), 0)
	fds := []unix.PollFd{{Fd: int32(s.fd)}, {Fd: int32(s.wake), Events: unix.POLLIN}} // errors are always reported
	_, err := unix.Poll(fds, int(left/time.Millisecond)+1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for answers: %w", err)
	}
	// The pending error would wake the next Poll although the queue is empty.
	_, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return nil
}

// receive takes all errors from the queue.
func (s *socket) receive(t *trace) error {
	var nothing [1]byte
	for {
		_, n, _, about, err := unix.Recvmsg(s.fd, nothing[:], s.oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read answers: %w", err)
		}
		port, ok := portOf(about)
		if !ok {
			continue
		}
		if a, ok := parseAnswer(s.oob[:n], s.to); ok {
			a.at = time.Now()
			probe := port - firstPort
			t.take(probe%maxHops, probe/maxHops, a)
		}
	}
}

// portOf returns the port that a probe was sent to.
func portOf(about unix.Sockaddr) (int, bool) {
	switch about := about.(type) {
	case *unix.SockaddrInet4:
		return about.Port, about.Port >= firstPort
	case *unix.SockaddrInet6:
		return about.Port, about.Port >= firstPort
	}
	return 0, false
}
