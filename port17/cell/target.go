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
	// Host is a name; empty when Addr is valid.
	Host string
	// Addr is an address, without zone.
	Addr netip.Addr
	// Port is never 0.
	Port uint16
}

// MaxTarget is the greatest length of a target's wire form.
const MaxTarget = 4 + maxHost

const maxHost = 253

const (
	kindHost = 1
	kindIPv4 = 4
	kindIPv6 = 6
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

// String returns host:port.
func (t Target) String() string {
	if t.Addr.IsValid() {
		return netip.AddrPortFrom(t.Addr, t.Port).String()
	}
	return t.Host + ":" + strconv.Itoa(int(t.Port))
}

// Append appends the target's wire form: port(2) ‖ kind(1) ‖ address, or
// length(1) and name.
func (t Target) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, t.Port)
	switch {
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
	if len(b) < 4 {
		return Target{}, errTarget
	}
	t := Target{Port: binary.BigEndian.Uint16(b)}
	kind, rest := b[2], b[3:]
	switch kind {
	case kindHost:
		if len(rest) != 1+int(rest[0]) {
			return Target{}, errTarget
		}
		t.Host = string(rest[1:])
	case kindIPv4, kindIPv6:
		a, ok := netip.AddrFromSlice(rest)
		if !ok || a.Is4() != (kind == kindIPv4) {
			return Target{}, errTarget
		}
		t.Addr = a
	default:
		return Target{}, errTarget
	}
	return t, t.Validate()
}
