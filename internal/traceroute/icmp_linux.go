package traceroute

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// What ICMP says (RFC 792) and ICMPv6 (RFC 4443).
const (
	unreachable4, port4, exceeded4 = 3, 3, 11 // type, its code, type
	unreachable6, port6, exceeded6 = 1, 4, 3
)

// The kernel's struct sock_extended_err (linux/errqueue.h), which the address
// of whoever reports the error follows:
//
//	 0        4      5    6    7   8      12     16
//	+--------+------+----+----+---+------+------+------------------+
//	| errno  |origin|type|code|pad| info | data | sockaddr_in/_in6 |
//	+--------+------+----+----+---+------+------+------------------+
const extendedError = 16

// parseAnswer reads what the kernel says of an ICMP error.
func parseAnswer(oob []byte, to netip.Addr) (answer, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return answer{}, false
	}
	for _, m := range messages {
		b := m.Data
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR &&
			len(b) >= extendedError+unix.SizeofSockaddrInet4 && b[4] == unix.SO_EE_ORIGIN_ICMP:
			from := netip.AddrFrom4([4]byte(b[extendedError+4:]))
			return judge(from, b[5] == exceeded4, b[5] == unreachable4, from == to && b[6] == port4)
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR &&
			len(b) >= extendedError+unix.SizeofSockaddrInet6 && b[4] == unix.SO_EE_ORIGIN_ICMP6:
			from := netip.AddrFrom16([16]byte(b[extendedError+8:]))
			return judge(from, b[5] == exceeded6, b[5] == unreachable6, from == to && b[6] == port6)
		}
	}
	return answer{}, false
}

func judge(from netip.Addr, exceeded, unreachable, reached bool) (answer, bool) {
	switch {
	case exceeded:
		return answer{from: from}, true
	case unreachable && reached:
		return answer{from: from, outcome: Reached}, true
	case unreachable:
		return answer{from: from, outcome: Unreachable}, true
	}
	return answer{}, false // such as a packet that is too big
}
