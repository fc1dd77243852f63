package node

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"safing/internal/geo"
	"safing/netmap"
	"safing/port17/link/wrap"
)

// A listener takes connections in a wrapping.
type listener struct {
	net.Listener
	wrapping netmap.Wrapping
}

// listen begins to take connections, which wait until the node accepts them.
func (n *Node) listen(ctx context.Context) error {
	if err := n.config.checkListen(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	reset, err := hkdf.Key(sha256.New, n.config.Identity.Seed(), nil, "port17 quic reset v1", sha256.Size)
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	own := wrap.Config{Node: n.id, ResetKey: (*[32]byte)(reset), Certificate: n.config.TLSCert, Key: n.config.TLSKey, Log: n.config.Log}
	for _, all := range []struct {
		in        netmap.Wrapping
		addresses []string
	}{{netmap.TCP, n.config.Listen}, {netmap.QUIC, n.config.ListenQUIC}, {netmap.TLS, n.config.ListenTLS}} {
		for _, address := range all.addresses {
			l, err := listenIn(ctx, all.in, address, own)
			if err != nil {
				n.closeListeners()
				return fmt.Errorf("start node: %w", err)
			}
			n.listeners = append(n.listeners, listener{l, all.in})
		}
	}
	return nil
}

func (c Config) checkListen() error {
	switch {
	case len(c.Listen) == 0:
		return errors.New("it has no address to listen on")
	case len(c.ListenTLS) == 0 && (c.TLSCert != "" || c.TLSKey != "" || c.TLSHost != ""):
		return errors.New("it has a certificate or host name and no address for TLS to listen on")
	case c.TLSHost != "" && c.TLSCert == "":
		return errors.New("it has a host name for TLS and no certificate: clients would refuse it")
	case c.TLSCert != "":
		return wrap.LoadCertificate(c.TLSCert, c.TLSKey, c.TLSHost)
	}
	return nil
}

func listenIn(ctx context.Context, w netmap.Wrapping, address string, own wrap.Config) (net.Listener, error) {
	if w == netmap.TCP {
		var lc net.ListenConfig
		return lc.Listen(ctx, "tcp", address)
	}
	l, err := wrap.Listen(ctx, w, address, own)
	if err != nil {
		return nil, err // not l, which would be no nil
	}
	return l, nil
}

// place says in the descriptor where the node listens.
func (n *Node) place(d *netmap.Descriptor) error {
	for _, l := range n.listeners {
		a, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return err
		}
		if a.Addr().IsUnspecified() {
			return fmt.Errorf("%s is no address that others can connect to: listen on a specific one", a)
		}
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if l.wrapping == netmap.TCP {
			d.Addresses = append(d.Addresses, a)
			continue
		}
		e := netmap.Entrance{Wrapping: l.wrapping, Addr: a}
		if l.wrapping == netmap.TLS {
			e.Host = n.config.TLSHost
		}
		d.Entrances = append(d.Entrances, e)
	}
	return nil
}

// locate fills in where the node is, if its operator does not say.
func locate(d *netmap.Descriptor, db *geo.DB) {
	for _, ip := range d.IPs() {
		l := db.Locate(ip)
		if d.Country == "" {
			d.Country = l.Country
		}
		if d.ASN == 0 {
			d.ASN = l.ASN
		}
	}
}

// closeListeners takes no more connections. Those that there are stay.
func (n *Node) closeListeners() {
	for _, l := range n.listeners {
		l.Close()
	}
}

// awaitListeners returns when the listeners have given their addresses back, after
// the last connection has ended.
func (n *Node) awaitListeners() {
	for _, l := range n.listeners {
		if w, ok := l.Listener.(*wrap.Listener); ok {
			w.Wait()
		}
	}
}
