package link

import (
	"net"

	"golang.org/x/sys/unix"
)

// notSent is how many bytes the kernel takes before it has sent them. More
// would wait where the writer can no longer choose between circuits.
const notSent = 256 << 10

// tune keeps the kernel's queue short, also that below TLS. QUIC has none for
// what was not sent. A kernel that refuses has a longer one.
func tune(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent)
	})
}
