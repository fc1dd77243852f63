package checkup

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"safing/netmap"
	"safing/port17/probe"
	"safing/tinker"
	"safing/tinker/keyfile"
)

func (r *report) checkKey() {
	key, err := keyfile.Load[ed25519.PrivateKey](r.config.Key, r.config.Passphrase)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.warn("key", "start the node, or copy its key there if it had one", "there is none yet at %s: the node makes one when it starts", r.config.Key)
	case errors.Is(err, keyfile.ErrEncrypted):
		r.problem("key", "name a file that holds it with --passphrase-file", "%v", err)
	case err != nil:
		r.problem("key", "put it right, or restore it from its copy", "%v", err)
	default:
		r.id = netmap.NodeID(key.Public().(ed25519.PublicKey))
		how := "not encrypted"
		if r.config.Passphrase != "" {
			how = "encrypted"
		}
		r.ok("key", "%s, %s, for the node's user alone", r.id, how)
	}
}

// leastFree is how much room the state needs: two maps of the greatest size and
// what else there is.
const leastFree = 256 << 20

func (r *report) checkState() {
	dir := r.config.State
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		r.warn("state", "start the node, which makes it", "there is no folder %s yet", dir)
		return
	}
	if err != nil || !info.IsDir() {
		r.problem("state", "choose another with --state", "%s is no folder that can be read: %v", dir, err)
		return
	}
	free, err := freeSpace(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		r.ok("state", "%s is there", dir)
	case err != nil:
		r.warn("state", "look at its disk", "how much room there is in %s can't be told: %v", dir, err)
	case free < leastFree:
		r.problem("state", "make room on its disk", "%s has %d MB left, and needs %d", dir, free>>20, leastFree>>20)
	default:
		r.ok("state", "%s has %d MB left", dir, free>>20)
	}
}

func (r *report) checkExit() {
	rules := r.config.Exit.Rules()
	switch {
	case len(rules) == 0:
		r.ok("exit", "none: the node passes cells on only")
	case r.config.Contact == "":
		r.warn("exit", "set contact, so that whoever is harmed writes to you first", "the node is an exit, with %d rules, and does not say how to reach its operator", len(rules))
	default:
		r.ok("exit", "%d rules; the operator is reached at %s", len(rules), r.config.Contact)
	}
}

const (
	muchSkew = 5 * time.Minute // half of what authorities take
	someSkew = 10 * time.Second
)

// checkClock compares the clock with that of the first authority that answers.
func (r *report) checkClock(ctx context.Context) {
	for _, a := range r.config.Network.Authorities {
		off, err := skew(ctx, a.URL)
		if err != nil {
			continue
		}
		off = off.Round(time.Second)
		switch {
		case off.Abs() > muchSkew:
			r.problem("clock", "set it, and keep it set with NTP", "it is %s off the authority's, which refuses descriptors", off.Abs())
		case off.Abs() > someSkew:
			r.warn("clock", "keep it set with NTP", "it is %s off the authority's", off.Abs())
		default:
			r.ok("clock", "as the authority's")
		}
		return
	}
	r.warn("clock", "check the way to the authority", "no authority has answered, so it can't be compared")
}

func skew(ctx context.Context, base string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/v1/health", nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("its answer has no date: %w", err)
	}
	return time.Since(theirs), nil
}

// checkAddresses returns where the node is to take links, those left out that
// can't be read.
func (r *report) checkAddresses() []netmap.Entrance {
	for _, all := range []struct {
		in        netmap.Wrapping
		addresses []string
	}{{netmap.TCP, r.config.Listen}, {netmap.QUIC, r.config.ListenQUIC}, {netmap.TLS, r.config.ListenTLS}} {
		for _, text := range all.addresses {
			a, err := netip.ParseAddrPort(text)
			if err != nil {
				r.problem("address", "write it like 192.0.2.1:1717", "%s: %v", text, err)
				continue
			}
			a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
			r.checkAddress(a.Addr())
			e := netmap.Entrance{Wrapping: all.in, Addr: a}
			if all.in == netmap.TLS {
				e.Host = r.config.TLSHost
			}
			r.entrances = append(r.entrances, e)
		}
	}
	return r.entrances
}

func (r *report) checkAddress(ip netip.Addr) {
	here, err := local(ip)
	switch {
	case ip.IsUnspecified():
		r.problem("address", "name one that others can connect to", "%s is no specific address", ip)
	case err != nil:
		r.warn("address", "look at the machine's network", "its addresses can't be read: %v", err)
	case !here:
		r.problem("address", "choose one that ip address shows", "this machine does not have %s", ip)
	case !netmap.IsPublic(ip) && !r.config.Network.PrivateAddresses:
		r.problem("address", "listen on a public one", "%s is not a public address, and the network takes no others", ip)
	default:
		r.ok("address", "%s is this machine's", ip)
	}
}

// checkLocation compares where the node says that it is with what the location
// databases of this machine say.
func (r *report) checkLocation() {
	for _, e := range r.entrances {
		ip := e.Addr.Addr()
		l := r.config.Geo.Locate(ip)
		c, asn := r.config.Country, r.config.ASN
		switch {
		case l.Country != "" && c != "" && l.Country != c:
			r.warn("location", "correct country, unless you know better", "%s is in %s, says %s, and the settings say %s", ip, l.Country, l.CountryFrom, c)
		case l.ASN != 0 && asn != 0 && l.ASN != asn:
			r.warn("location", "correct asn, unless you know better", "%s is in AS %d, says %s, and the settings say %d", ip, l.ASN, l.ASNFrom, asn)
		case l.Country == "" && c == "" && netmap.IsPublic(ip):
			r.warn("location", "set country and asn, or name a location database with --geo", "nothing says in which country %s is: routes take the node for far away", ip)
		case l.Country != "":
			r.ok("location", "%s is in %s", ip, l.Country)
		}
	}
}

func local(ip netip.Addr) (bool, error) {
	interfaces, err := net.InterfaceAddrs()
	for _, i := range interfaces {
		if n, ok := i.(*net.IPNet); ok && (n.IP.Equal(ip.AsSlice()) || ip.IsLoopback() && n.IP.IsLoopback() && n.Contains(ip.AsSlice())) {
			return true, nil
		}
	}
	return false, err
}

// checkPort looks whether the port is free, or held by the node itself.
func (r *report) checkPort(ctx context.Context, e netmap.Entrance) {
	err := tryPort(ctx, e)
	switch {
	case err == nil:
		r.ok("port", "%s is free: the node does not run", e)
	case errors.Is(err, syscall.EACCES):
		r.problem("port", "choose one above 1023, or run the node as the unit does, with CAP_NET_BIND_SERVICE", "%s takes more rights", e)
	case !errors.Is(err, syscall.EADDRINUSE):
		r.problem("port", "choose another", "%v", err)
	case !r.listed:
		r.warn("port", "if that is not the node, stop it", "a program listens on %s, and without an entry on the map it can't be told whether it is the node", e)
	default:
		if err := r.ask(ctx, e); err != nil {
			r.problem("port", "stop what listens there, or choose another port", "what listens on %s is not the node: %v", e, err)
			return
		}
		r.running = true
		r.ok("port", "the node runs at %s", e)
	}
}

// tryPort listens for a moment.
func tryPort(ctx context.Context, e netmap.Entrance) error {
	var config net.ListenConfig
	if e.Wrapping == netmap.QUIC {
		c, err := config.ListenPacket(ctx, "udp", e.Addr.String())
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := config.Listen(ctx, "tcp", e.Addr.String())
	if err != nil {
		return err
	}
	return l.Close()
}

// ask makes a link to the node, as a client does, which proves that it has the
// node's keys.
func (r *report) ask(ctx context.Context, e netmap.Entrance) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	to, err := r.self.Recipient(time.Now())
	if err != nil {
		return err
	}
	err = probe.Prove(ctx, r.id, e, to)
	var newer *tinker.RetryError // it has newer prekeys than the map, as after a restart
	if errors.As(err, &newer) {
		if k, failed := netmap.OpenKeys(newer.Descriptor); failed == nil && k.ID == r.id {
			return nil
		}
	}
	return err
}

// spareFiles are those besides links and connections.
const spareFiles = 256

func (r *report) checkFiles() {
	limit, err := openFiles()
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	need := uint64(r.config.Links + spareFiles)
	if len(r.config.Exit.Rules()) > 0 {
		need += uint64(r.config.Connections)
	}
	switch {
	case err != nil:
		r.warn("files", "look at ulimit -n", "the limit of open files can't be read: %v", err)
	case limit < need:
		r.warn("files", fmt.Sprintf("set LimitNOFILE=%d in its unit, or ulimit -n", need), "%d may be open at once from here, and a busy node needs %d", limit, need)
	default:
		r.ok("files", "%d may be open at once, and a busy node needs %d", limit, need)
	}
}
