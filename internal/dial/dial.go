package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// attemptDelay is how long an address is tried alone before the next one is
// tried beside it (RFC 8305, 5 and 8).
const attemptDelay = 250 * time.Millisecond

// Any returns the first connection that one of the addresses accepts, and
// closes those that come later. An address that has failed makes room for the
// next at once; one that says nothing holds it up for a quarter of a second only
// (RFC 8305). When the context ends, so do all attempts. The error joins theirs.
func Any[A any](ctx context.Context, addresses []A, dial func(context.Context, A) (net.Conn, error)) (net.Conn, error) {
	if len(addresses) == 0 {
		return nil, errors.New("there is no address for it")
	}
	type attempt struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	attempts := make(chan attempt)
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			if a := <-attempts; a.conn != nil {
				a.conn.Close()
			}
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var errs []error
	for len(addresses) > 0 || running > 0 {
		select {
		case <-next.C:
			if len(addresses) == 0 {
				continue
			}
			address := addresses[0]
			addresses = addresses[1:]
			running++
			go func() {
				conn, err := dial(ctx, address)
				attempts <- attempt{conn, err}
			}()
			next.Reset(attemptDelay)
		case a := <-attempts:
			running--
			if a.err == nil {
				return a.conn, nil
			}
			errs = append(errs, a.err)
			next.Reset(0)
		}
	}
	return nil, errors.Join(errs...)
}

// Alternate returns the addresses with the families in turn, beginning with
// that of the first, and otherwise in their order (RFC 8305, 4): so a family
// that is broken holds the other one up for one attempt.
func Alternate(addresses []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, a := range addresses {
		family := 0
		if a.Unmap().Is4() != addresses[0].Unmap().Is4() {
			family = 1
		}
		families[family] = append(families[family], a)
	}
	alternating := make([]netip.Addr, 0, len(addresses))
	for i := range addresses {
		for _, f := range families {
			if i < len(f) {
				alternating = append(alternating, f[i])
			}
		}
	}
	return alternating
}
