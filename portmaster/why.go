package portmaster

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"safing/portmaster/api"
	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/profile"
)

// findApp finds whose rules an application's name, profile ID or path means.
// The zero number stands for applications without a profile.
func (a *apps) find(name string) (kernel.AppID, history.App, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name == "" {
		return 0, history.App{}, nil
	}
	var x *app
	switch {
	case a.byID[name] != nil:
		x = a.byID[name]
	case filepath.IsAbs(name):
		if exe, err := a.stat(name); err == nil {
			x = a.byNumber[a.bound[exe].app]
		} else if x = a.anyLocked(func(p *profile.Profile) bool { return slices.Contains(p.Paths, name) }); x == nil {
			return 0, history.App{}, fmt.Errorf("%w: there is no program %s", api.ErrQuestion, name)
		}
	default:
		x = a.anyLocked(func(p *profile.Profile) bool { return strings.EqualFold(p.Name, name) })
		if x == nil {
			return 0, history.App{}, fmt.Errorf("%w: no profile is called %q: give a profile's ID (`portmaster status` lists them) or the path of a program", api.ErrQuestion, name)
		}
	}
	if x == nil {
		return 0, history.App{Name: filepath.Base(name)}, nil
	}
	return x.number, history.App{ID: x.profile.ID, Name: x.profile.Name}, nil
}

func (a *apps) anyLocked(is func(*profile.Profile) bool) *app {
	for _, x := range a.byID {
		if is(x.profile) {
			return x
		}
	}
	return nil
}

// parseDestination reads a domain or an address, with or without a port and a
// protocol: example.com, 192.0.2.1:443, udp://[2001:db8::1]:53. Without a
// protocol it is TCP, without a port it is HTTPS.
func parseDestination(text string) (profile.Flow, error) {
	f := profile.Flow{Protocol: protocolTCP, Port: 443}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		rest = after
		switch scheme {
		case "tcp":
		case "udp":
			f.Protocol = protocolUDP
		default:
			return f, fmt.Errorf("%w: protocol %q: write tcp or udp", api.ErrQuestion, scheme)
		}
	}
	host := rest
	if bare, ok := strings.CutPrefix(rest, "["); ok && strings.HasSuffix(bare, "]") {
		host = strings.TrimSuffix(bare, "]")
	} else if addr, err := netip.ParseAddr(rest); err == nil {
		f.Addr = addr.Unmap()
		return f, nil
	}
	if h, p, err := net.SplitHostPort(rest); err == nil {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return f, fmt.Errorf("%w: %q is not a port", api.ErrQuestion, p)
		}
		host, f.Port = h, uint16(port)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		f.Addr = addr.Unmap()
		return f, nil
	}
	domain, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || domain == "" {
		return f, fmt.Errorf("%w: %q is neither a domain nor an address: write example.com, example.com:443 or 192.0.2.1:443", api.ErrQuestion, text)
	}
	f.Domain = strings.ToLower(domain)
	return f, nil
}
