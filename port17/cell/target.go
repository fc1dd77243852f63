package cell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Target is what a stream is connected to: a host name or an address, and a
// port. The exit resolves names.
type Target struct {
	// UDP is set instead of all else for a stream that carries datagrams, each
	// of which has a target of its own.
	UDP bool
	// Directory is set instead of all else for a stream to the node itself, which
	// serves the map in HTTP/1.1.
	Directory bool
	// Host is a name; empty when Addr is valid.
	Host string
	// Addr is an address, without zone.
	Addr netip.Addr
	// Port is never 0.
	Port uint16
}

// MaxTarget is the greatest length of a target's wire form.
const MaxTarget = 4 + maxHost

const (
	maxHost      = 253
	targetHeader = 3 // port and kind
)

const (
	kindHost      = 1
	kindDirectory = 2
	kindIPv4      = 4
	kindIPv6      = 6
	kindUDP       = 17 // as in IP's header
)

var errTarget = errors.New("read target: malformed")

// NewTarget makes a target of host, which may be a name or an address in text
// form, and port.
func NewTarget(host string, port uint16) (Target, error) {
	host = strings.TrimSuffix(host, ".")
	t := Target{Host: host, Port: port}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		t = Target{Addr: a.Unmap().WithZone(""), Port: port}
	}
	return t, t.Validate()
}

// Validate says what a target lacks.
func (t Target) Validate() error {
	switch {
	case t.UDP:
		if t != (Target{UDP: true}) {
			return errors.New("target: datagrams name their own targets")
		}
		return nil
	case t.Directory:
		if t != (Target{Directory: true}) {
			return errors.New("target: the directory is the node's own")
		}
		return nil
	case t.Port == 0:
		return errors.New("target: port 0 cannot be connected to")
	case t.Addr.IsValid() && t.Host != "":
		return errors.New("target: has both a name and an address")
	case t.Addr.IsValid():
		if t.Addr.Zone() != "" || t.Addr.Is4In6() {
			return fmt.Errorf("target: address %s has a zone or is a mapped one", t.Addr)
		}
		return nil
	}
	return validateHost(t.Host)
}

// validateHost accepts what resolvers may be asked for: names of letters,
// digits, hyphens, underscores and dots. Names in other scripts come as
// punycode.
func validateHost(host string) error {
	if host == "" || len(host) > maxHost {
		return fmt.Errorf("target: name of %d characters, want 1 to %d", len(host), maxHost)
	}
	label := 0
	for i := range len(host) {
		switch c := host[i]; {
		case c == '.':
			if label == 0 {
				return errors.New("target: name with an empty label")
			}
			label = 0
			continue
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			label++
		default:
			return fmt.Errorf("target: name with the character %q", c)
		}
		if label > 63 {
			return errors.New("target: name with a label longer than 63")
		}
	}
	if label == 0 {
		return errors.New("target: name ends with a dot")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return errors.New("target: address given as a name")
	}
	return nil
}

// AddrPort returns address and port; the address is not valid for a name.
func (t Target) AddrPort() netip.AddrPort { return netip.AddrPortFrom(t.Addr, t.Port) }

// String returns host:port, "udp" or "directory".
func (t Target) String() string {
	switch {
	case t.UDP:
		return "udp"
	case t.Directory:
		return "directory"
	case t.Addr.IsValid():
		return netip.AddrPortFrom(t.Addr, t.Port).String()
	}
	return t.Host + ":" + strconv.Itoa(int(t.Port))
}

// Append appends the target's wire form: port(2) ‖ kind(1) ‖ address, or
// length(1) and name, or nothing.
func (t Target) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, t.Port)
	switch {
	case t.UDP:
		return append(b, kindUDP)
	case t.Directory:
		return append(b, kindDirectory)
	case t.Addr.Is4():
		a := t.Addr.As4()
		return append(append(b, kindIPv4), a[:]...)
	case t.Addr.IsValid():
		a := t.Addr.As16()
		return append(append(b, kindIPv6), a[:]...)
	}
	return append(append(b, kindHost, byte(len(t.Host))), t.Host...)
}

// ParseTarget reads a target's wire form, which must be all of b.
func ParseTarget(b []byte) (Target, error) {
	n, err := targetSize(b)
	if err != nil || n == 0 || n != len(b) {
		return Target{}, errTarget
	}
	t := Target{Port: binary.BigEndian.Uint16(b)}
	switch address := b[targetHeader:]; b[2] {
	case kindHost:
		t.Host = string(address[1:])
	case kindUDP:
		t.UDP = true
	case kindDirectory:
		t.Directory = true
	default:
		t.Addr, _ = netip.AddrFromSlice(address)
	}
	return t, t.Validate()
}

// targetSize returns how long the target is that b begins with; 0 if b is too
// short to tell.
func targetSize(b []byte) (int, error) {
	if len(b) < targetHeader {
		return 0, nil
	}
	switch b[2] {
	case kindUDP, kindDirectory:
		return targetHeader, nil
	case kindIPv4:
		return targetHeader + 4, nil
	case kindIPv6:
		return targetHeader + 16, nil
	case kindHost:
		if len(b) == targetHeader {
			return 0, nil
		}
		return targetHeader + 1 + int(b[3]), nil
	}
	return 0, errTarget
}
