package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An answer is what an address does with a connection: it says yes or no after
// a time, or nothing at all.
type answer struct {
	after time.Duration
	err   error
	deaf  bool // it does not even hear that nobody waits any more
}

const never = 1000 * time.Hour

// A closing counts when it is closed.
type closing struct {
	net.Conn
	closed *int
}

func (c closing) Close() error {
	*c.closed++
	return nil
}

// An address that leads nowhere holds the next one up for a moment only.
func TestAny(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		name    string
		answers []answer
		took    time.Duration
		winner  int // -1: none
		closed  int
	}{
		{"first", []answer{{after: 100 * time.Millisecond}, {}}, 100 * time.Millisecond, 0, 0},
		{"blackhole", []answer{{after: never}, {after: 20 * time.Millisecond}}, 270 * time.Millisecond, 1, 0},
		{"two blackholes", []answer{{after: never}, {after: never}, {}}, 500 * time.Millisecond, 2, 0},
		{"refused", []answer{{err: refused}, {after: 20 * time.Millisecond}}, 20 * time.Millisecond, 1, 0},
		{"slow first wins", []answer{{after: 300 * time.Millisecond}, {after: time.Second}}, 300 * time.Millisecond, 0, 0},
		{"both", []answer{{after: 400 * time.Millisecond, deaf: true}, {after: 50 * time.Millisecond}}, 400 * time.Millisecond, 1, 1},
		{"all refused", []answer{{err: refused}, {err: refused}}, 0, -1, 0},
		{"all blackholes", []answer{{after: never}, {after: never}}, 10 * time.Second, -1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := 0
				var addresses []netip.AddrPort
				for i := range test.answers {
					addresses = append(addresses, netip.AddrPortFrom(netip.IPv6Loopback(), uint16(i+1)))
				}
				conns := make([]net.Conn, len(addresses))
				for i := range conns {
					conns[i] = closing{nil, &closed}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				begun := time.Now()
				got, err := Any(ctx, addresses, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					i := a.Port() - 1
					if test.answers[i].deaf {
						ctx = context.Background()
					}
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(test.answers[i].after):
					}
					if err := test.answers[i].err; err != nil {
						return nil, err
					}
					return conns[i], nil
				})
				if took := time.Since(begun); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				if test.winner < 0 {
					if got != nil || err == nil {
						t.Errorf("connection %v, %v, want none", got, err)
					}
				} else if got != conns[test.winner] || err != nil {
					t.Errorf("connection %v, %v, want that of address %d", got, err, test.winner)
				}
				if closed != test.closed {
					t.Errorf("%d connections were closed, want %d", closed, test.closed)
				}
			})
		})
	}
}

func TestAlternate(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"1.1.1.1", "1.1.1.1"},
		{"2600::1 2600::2 2600::3 1.1.1.1 1.1.1.2", "2600::1 1.1.1.1 2600::2 1.1.1.2 2600::3"},
		{"1.1.1.1 1.1.1.2 ::ffff:1.1.1.3 2600::1", "1.1.1.1 2600::1 1.1.1.2 ::ffff:1.1.1.3"},
	} {
		var in, want []netip.Addr
		for _, a := range strings.Fields(c.in) {
			in = append(in, netip.MustParseAddr(a))
		}
		for _, a := range strings.Fields(c.want) {
			want = append(want, netip.MustParseAddr(a))
		}
		if got := Alternate(in); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.in, got, want)
		}
	}
}
