package portmaster

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tcpTimeWait is a connection that both sides have closed.
const tcpTimeWait = 6 // include/net/tcp_states.h

// listSockets asks for all TCP and UDP sockets of this network namespace. A
// listing that was interrupted is an error: what it lacks may be open.
func listSockets() (map[uint64]socket, error) {
	all := make(map[uint64]socket)
	var errs []error
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		streams, err := netlink.SocketDiagTCPInfo(family)
		errs = append(errs, err)
		for _, s := range streams {
			if s.InetDiagMsg == nil || s.InetDiagMsg.State == tcpTimeWait {
				continue
			}
			var counts socket
			if i := s.TCPInfo; i != nil {
				counts = socket{sent: i.Bytes_acked, received: i.Bytes_received}
			}
			all[cookie(s.InetDiagMsg.ID)] = counts
		}
		datagrams, err := netlink.SocketDiagUDP(family)
		errs = append(errs, err)
		for _, s := range datagrams {
			all[cookie(s.ID)] = socket{}
		}
	}
	return all, errors.Join(errs...)
}

func cookie(id netlink.SocketID) uint64 {
	return uint64(id.Cookie[1])<<32 | uint64(id.Cookie[0])
}
