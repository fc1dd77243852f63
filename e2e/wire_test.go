package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"safing/internal/socks"
	"safing/internal/wan"
)

// A flow is one direction of a TCP connection.
type flow struct{ from, to netip.AddrPort }

// A look is what one packet shows, besides addresses, ports, sequence numbers
// and the values of timestamps.
type look struct {
	Flags, Options string
	Window         uint16
	TTL, TOS       uint8
	Fragment       string // IP's flags
	Size           int
}

type segment struct {
	look
	sequence uint32
	payload  []byte
	number   int // which packet of all it was
}

// A tap keeps what hosts send.
type tap struct {
	handles []*pcapgo.EthernetHandle
	reading sync.WaitGroup

	mu    sync.Mutex
	count int
	flows map[flow][]segment
	other []string // packets that are not TCP over IPv4
}

// listenIn begins to keep what each host of the estate sends.
func listenIn(t *testing.T, e *estate) *tap {
	t.Helper()
	c := &tap{flows: make(map[flow][]segment)}
	t.Cleanup(c.stop)
	for addr, n := range e.hosts {
		var h *pcapgo.EthernetHandle
		if err := n.Do(func() (err error) { h, err = pcapgo.NewEthernetHandle("wan"); return err }); err != nil {
			t.Fatalf("capture on the host %v: %v", addr, err)
		}
		c.handles = append(c.handles, h)
		c.reading.Go(func() { c.read(h, addr) })
	}
	return c
}

// stop ends the capture.
func (c *tap) stop() {
	for _, h := range c.handles {
		h.Close()
	}
	c.handles = nil
	c.reading.Wait()
}

func (c *tap) read(h *pcapgo.EthernetHandle, host netip.Addr) {
	for {
		data, _, err := h.ReadPacketData()
		if err != nil {
			return
		}
		p := gopacket.NewPacket(data, layers.LayerTypeIPv4, gopacket.Default)
		ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		c.mu.Lock()
		if ip == nil || tcp == nil {
			if data[0]>>4 == 4 { // IPv6 asks whether it is alone
				c.other = append(c.other, p.String())
			}
		} else if from, _ := netip.AddrFromSlice(ip.SrcIP); from == host {
			to, _ := netip.AddrFromSlice(ip.DstIP)
			f := flow{netip.AddrPortFrom(from, uint16(tcp.SrcPort)), netip.AddrPortFrom(to, uint16(tcp.DstPort))}
			c.flows[f] = append(c.flows[f], segment{newLook(ip, tcp), tcp.Seq, slices.Clone(tcp.Payload), c.count})
			c.count++
		}
		c.mu.Unlock()
	}
}

func newLook(ip *layers.IPv4, tcp *layers.TCP) look {
	l := look{Window: tcp.Window, TTL: ip.TTL, TOS: ip.TOS, Fragment: ip.Flags.String(), Size: len(tcp.Payload)}
	for i, set := range []bool{tcp.SYN, tcp.FIN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR} {
		if set {
			l.Flags += "SFRPAUEC"[i : i+1]
		}
	}
	for _, o := range tcp.Options {
		l.Options += o.OptionType.String()
		if o.OptionType != layers.TCPOptionKindTimestamps {
			l.Options += fmt.Sprintf("%x", o.OptionData)
		}
		l.Options += " "
	}
	return l
}

// sent puts the bytes of a flow in order; whole says that none is missing.
func sent(all []segment) (b []byte, whole bool) {
	syn := slices.IndexFunc(all, func(s segment) bool { return strings.HasPrefix(s.Flags, "S") })
	if syn < 0 {
		return nil, false
	}
	first := all[syn].sequence + 1
	data := slices.DeleteFunc(slices.Clone(all), func(s segment) bool { return s.Size == 0 })
	slices.SortFunc(data, func(a, b segment) int { return int(a.sequence-first) - int(b.sequence-first) })
	for _, s := range data {
		at := int(s.sequence - first)
		if at > len(b) {
			return b, false
		}
		if end := at + s.Size; end > len(b) {
			b = append(b, s.payload[len(b)-at:]...)
		}
	}
	return b, true
}

const (
	linkCell   = 4096
	recordRest = 2 + 1 + 16 // header, type and tag
	mostCells  = 16
)

// checkLink reads one direction of a link as docs/spec/port17.md#links says,
// and returns how many cells it carried. What it can't explain is an error.
func checkLink(b []byte, initiator bool) (cells int, err error) {
	if len(b) < linkCell {
		return 0, fmt.Errorf("%d bytes, less than a hello or a reply", len(b))
	}
	at := linkCell
	session := !initiator
	last := -1
	for at < len(b) {
		if len(b) < at+2 {
			break
		}
		key, n := b[at], int(b[at+1])
		switch {
		case key > 1 || n > mostCells:
			return cells, fmt.Errorf("at byte %d: a record with key %d and %d cells", at, key, n)
		case key == 0 && session:
			return cells, fmt.Errorf("at byte %d: an early record behind those of the session", at)
		case key == 1 && !session && last != 0:
			return cells, fmt.Errorf("at byte %d: the last early record had %d cells, want none", at, last)
		case n == 0 && key == 1:
			return cells, fmt.Errorf("at byte %d: a record of the session without cells", at)
		}
		session, last = key == 1, n
		at += recordRest + n*linkCell
		cells += n
	}
	return cells, nil
}

const (
	question = "GET /what-nobody-may-see-on-the-way HTTP/1.0\r\n\r\n"
	answer   = "what nobody may see on its way back"
)

// Whoever looks at all links sees hellos, replies and records of whole cells,
// between neighbours and with the authority; and nobody else is talked to but
// the destination, by the exit.
func TestWire(t *testing.T) {
	e := newEstate(t, wan.Link{Delay: time.Millisecond})
	var c *tap
	proxy := e.network(4, func() { c = listenIn(t, e) })
	server := answerOn(e)
	exit := nodeHost(3)
	for range 3 {
		ask(t, e, proxy, server, nil)
	}
	c.stop()

	links, toServer := 0, 0
	for f, all := range c.flows {
		b, whole := sent(all)
		if !whole {
			t.Errorf("%v to %v: bytes are missing in what was captured", f.from, f.to)
			continue
		}
		switch {
		case f.from.Port() == authorityPort || f.to.Port() == authorityPort:
		case f.to == server || f.from == server:
			toServer++
			if f.from.Addr() != exit && f.to.Addr() != exit {
				t.Errorf("%v talks to %v", f.from, f.to)
			}
		case f.to.Port() == linkPort || f.from.Port() == linkPort:
			links++
			initiator := f.to.Port() == linkPort
			cells, err := checkLink(b, initiator)
			if err != nil {
				t.Errorf("link from %v to %v: %v", f.from, f.to, err)
			}
			t.Logf("link from %v to %v: %d cells in %d bytes", f.from, f.to, cells, len(b))
			if bytes.Contains(b, []byte("nobody")) {
				t.Errorf("link from %v to %v: it shows what it carries", f.from, f.to)
			}
		default:
			t.Errorf("%v sends %d bytes to %v", f.from, len(b), f.to)
		}
	}
	if links < 2*(3+1) || toServer != 2*3 || len(c.other) > 0 {
		t.Errorf("captured %d directions of links, %d with the destination, and %q", links, toServer, c.other)
	}
}

// What a destination sees of the exit's connection does not depend on the
// socket of the program that asked for it.
func TestSocketStaysBehind(t *testing.T) {
	e := newEstate(t, wan.Link{Delay: time.Millisecond})
	proxy := e.network(3, func() {})
	server := answerOn(e)
	c := listenIn(t, e)
	ask(t, e, proxy, server, nil)
	ask(t, e, proxy, server, nil)
	err := e.hosts[clientHost].Do(func() error {
		for _, name := range []string{"tcp_timestamps", "tcp_sack", "tcp_window_scaling"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte("0"), 0o644); err != nil {
				return err
			}
		}
		return os.WriteFile("/proc/sys/net/ipv4/ip_default_ttl", []byte("9"), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, e, proxy, server, odd)
	c.stop()

	seen := c.looks(server)
	if len(seen) != 3 {
		t.Fatalf("the destination saw %d connections, want 3", len(seen))
	}
	if d := cmp.Diff(seen[0], seen[1]); d != "" {
		t.Fatalf("two connections of the same program differ:\n%s", d)
	}
	if d := cmp.Diff(seen[0], seen[2]); d != "" {
		t.Errorf("a program with odd socket options is seen at the destination:\n%s", d)
	}
	t.Logf("each connection: %+v", seen[0])
}

// looks are those of the connections to a destination, one after the other: of
// each the first packet, and then how the others look, once each. What is
// acknowledged together is for the clock to say.
func (c *tap) looks(to netip.AddrPort) [][]look {
	var flows [][]segment
	for f, all := range c.flows {
		if f.to == to {
			flows = append(flows, all)
		}
	}
	slices.SortFunc(flows, func(a, b []segment) int { return a[0].number - b[0].number })
	var seen [][]look
	for _, all := range flows {
		looks := []look{all[0].look}
		for _, s := range all[1:] {
			l := s.look
			l.Flags, l.Size = "", 0
			if !slices.Contains(looks, l) {
				looks = append(looks, l)
			}
		}
		seen = append(seen, looks)
	}
	return seen
}

// answerOn answers the question on the server's host.
func answerOn(e *estate) netip.AddrPort {
	at := netip.AddrPortFrom(serverHost, 80)
	l := e.listen(at)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.ReadFull(conn, make([]byte, len(question))) //nolint:errcheck // who asks sees what comes
			io.WriteString(conn, answer)                   //nolint:errcheck // likewise
			conn.(*net.TCPConn).CloseWrite()               //nolint:errcheck // likewise
			io.Copy(io.Discard, conn)                      //nolint:errcheck // likewise
			conn.Close()
		}
	}()
	return at
}

// ask asks the question through the proxy, over a socket with the options.
func ask(t *testing.T, e *estate, proxy string, to netip.AddrPort, options func(fd int) error) {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if options != nil {
			err = errors.Join(c.Control(func(fd uintptr) { err = options(int(fd)) }), err)
		}
		return err
	}}
	var conn net.Conn
	if err := e.hosts[clientHost].Do(func() (err error) { conn, err = d.Dial("tcp", proxy); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if err := socks.Connect(conn, "", to.String()); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, question)   //nolint:errcheck // the answer does not come then
	conn.(*net.TCPConn).CloseWrite() //nolint:errcheck // likewise
	if b, err := io.ReadAll(conn); err != nil || string(b) != answer {
		t.Fatalf("got %q, %v", b, err)
	}
}

// odd gives a socket options that most programs don't set.
func odd(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, 7),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 300),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, 4096),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096),
	)
}
