package portmaster

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"safing/portmaster/history"
)

// A Tunnel carries connections to their destinations without showing the
// network from where they come. Dial may be called by many goroutines.
type Tunnel interface {
	// Dial opens a connection to the destination. It may return before the
	// destination has answered; a refusal is then the error of the first Read.
	Dial(ctx context.Context, r TunnelRequest) (TunnelConn, error)
}

// A TunnelRequest says what a tunnelled connection is for.
type TunnelRequest struct {
	Destination netip.AddrPort // what the application asked for
	Domain      string         // the name whose DNS answer held the address, or empty
	Country     string         // where the destination is, if that is known
	App         string         // the profile's ID, or the executable's path when it has none
}

// A TunnelConn is an open connection through a tunnel.
type TunnelConn interface {
	net.Conn
	// CloseWrite says that the application sends no more; what comes back is
	// still read.
	CloseWrite() error
	// Route names the nodes that the connection passes, in order.
	Route() []Hop
}

// A Hop is one node of a route.
type Hop = history.Hop

// errNoTunnel is the reason for refusing a connection that should be
// tunnelled when there is nothing to tunnel it through.
var errNoTunnel = errors.New("no tunnel is set up: name a Port17 network under [tunnel] in portmaster.toml; it was not sent in the clear")

// noTunnel stands in for the tunnel that is not configured.
type noTunnel struct{}

func (noTunnel) Dial(context.Context, TunnelRequest) (TunnelConn, error) { return nil, errNoTunnel }
