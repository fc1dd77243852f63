package netmap

import (
	"fmt"
	"net/netip"
	"strings"
)

// A Wrapping is what a link travels in.
type Wrapping uint8

// Wrappings. Every node takes links in plain TCP, and nodes use no other among
// themselves.
const (
	TCP  Wrapping = iota // nothing but TCP
	QUIC                 // for networks that slow TCP down or block it
	TLS                  // TLS and WebSocket, for networks that let nothing but web sites through
)

// String returns tcp, quic or tls.
func (w Wrapping) String() string {
	switch w {
	case TCP:
		return "tcp"
	case QUIC:
		return "quic"
	case TLS:
		return "tls"
	}
	return fmt.Sprintf("wrapping %d", uint8(w))
}

// ParseWrapping reads a wrapping's name.
func ParseWrapping(text string) (Wrapping, error) {
	for w := TCP; w <= TLS; w++ {
		if w.String() == text {
			return w, nil
		}
	}
	return 0, fmt.Errorf("unknown wrapping %q: use tcp, quic or tls", text)
}

// An Entrance is where a node takes links in a wrapping.
type Entrance struct {
	Wrapping Wrapping
	Addr     netip.AddrPort
	// Host is the name that the node's certificate is for, if it has one that
	// clients can check. Only with TLS.
	Host string
}

// String returns the entrance for people to read.
func (e Entrance) String() string {
	if e.Host != "" {
		return fmt.Sprintf("%s://%s#%s", e.Wrapping, e.Addr, e.Host)
	}
	return fmt.Sprintf("%s://%s", e.Wrapping, e.Addr)
}

// Ways returns how links to the node can be made in the wrapping, in the node's
// order.
func (d *Descriptor) Ways(in Wrapping) []Entrance {
	var ways []Entrance
	if in == TCP {
		for _, a := range d.Addresses {
			ways = append(ways, Entrance{Addr: a})
		}
		return ways
	}
	for _, e := range d.Entrances {
		if e.Wrapping == in {
			ways = append(ways, e)
		}
	}
	return ways
}

// Offers says whether the node takes links in one of the wrappings; yes if none
// is named.
func (d *Descriptor) Offers(in ...Wrapping) bool {
	for _, w := range in {
		if len(d.Ways(w)) > 0 {
			return true
		}
	}
	return len(in) == 0
}

// IPs returns where the node is: the addresses on which it takes links, without
// their ports. One may be there more than once.
func (d *Descriptor) IPs() []netip.Addr {
	ips := make([]netip.Addr, 0, len(d.Addresses)+len(d.Entrances))
	for _, a := range d.Addresses {
		ips = append(ips, a.Addr())
	}
	for _, e := range d.Entrances {
		ips = append(ips, e.Addr.Addr())
	}
	return ips
}

func (d *Descriptor) validateEntrances() error {
	type key struct {
		Wrapping
		netip.AddrPort
	}
	seen := make(map[key]bool)
	for _, e := range d.Entrances {
		k := key{e.Wrapping, e.Addr}
		switch {
		case e.Wrapping != QUIC && e.Wrapping != TLS:
			return fmt.Errorf("%w: it has an entrance of the unknown wrapping %d", ErrDescriptor, e.Wrapping)
		case !connectable(e.Addr):
			return fmt.Errorf("%w: nobody can connect to its entrance %s", ErrDescriptor, e)
		case seen[k]:
			return fmt.Errorf("%w: it has its entrance %s twice", ErrDescriptor, e)
		case e.Host != "" && (e.Wrapping != TLS || !isHost(e.Host)):
			return fmt.Errorf("%w: %q is no host name that its entrance can have", ErrDescriptor, e.Host)
		}
		seen[k] = true
	}
	return nil
}

// connectable says whether the address can be connected to, somewhere.
func connectable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() && ip.Zone() == "" && !ip.Is4In6()
}

// isHost says whether the text is a domain name in the form in which it is sent:
// lower case, letters, digits and hyphens, at least two labels (RFC 1123, 2.1).
func isHost(text string) bool {
	labels := strings.Split(text, ".")
	if len(text) > 253 || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if len(l) < 1 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	_, err := netip.ParseAddr(text)
	return err != nil
}
