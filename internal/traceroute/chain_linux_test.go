package traceroute

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"safing/internal/netns"
)

// A chain is a row of hosts, each in a namespace, of which all but the first and
// the last are routers. Host i has 10.9.i.1 and fd09:i::1 towards the one before
// it, and 10.9.i+1.2 and fd09:i+1::2 towards the next.
type chain struct{ hosts []*netns.Namespace }

func near(i int, six bool) netip.Addr {
	if six {
		return netip.MustParseAddr(fmt.Sprintf("fd09:%d::1", i))
	}
	return netip.AddrFrom4([4]byte{10, 9, byte(i), 1})
}

func newChain(t *testing.T, length int) *chain {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	c := new(chain)
	for range length {
		n, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		c.hosts = append(c.hosts, n)
		c.in(t, len(c.hosts)-1, instant)
	}
	for i := range c.hosts[1:] {
		c.join(t, i)
	}
	for i := range c.hosts {
		c.in(t, i, func() error { return c.route(i) })
	}
	for i := range c.hosts {
		c.in(t, i, func() error { return settled(t.Context()) })
	}
	return c
}

// settled returns when all devices of this thread's namespace pass packets: the
// kernel takes note of their cables once in a second alone.
func settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for look := time.NewTicker(5 * time.Millisecond); ; {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		down := slices.DeleteFunc(links, func(l netlink.Link) bool {
			return l.Attrs().OperState == netlink.OperUp || l.Attrs().Name == "lo"
		})
		if len(down) == 0 {
			look.Stop()
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("device %s has no carrier: %w", down[0].Attrs().Name, ctx.Err())
		}
	}
}

// instant lets devices that this thread's namespace will have use their IPv6
// addresses without a second's look for others who have them.
func instant() error { return set("0", "ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad") }

func set(value string, settings ...string) error {
	for _, s := range settings {
		if err := os.WriteFile("/proc/sys/net/"+s, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// in runs f in a host's namespace.
func (c *chain) in(t *testing.T, host int, f func() error) {
	t.Helper()
	if err := c.hosts[host].Do(f); err != nil {
		t.Fatalf("host %d: %v", host, err)
	}
}

// join lays a cable from a host to the next.
func (c *chain) join(t *testing.T, host int) {
	t.Helper()
	c.in(t, host, func() error {
		peer, err := os.Open(c.hosts[host+1].Path())
		if err != nil {
			return err
		}
		defer peer.Close()
		attributes := netlink.NewLinkAttrs()
		attributes.Name = "right"
		err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "left", PeerNamespace: netlink.NsFd(peer.Fd())})
		if err != nil {
			return fmt.Errorf("make a veth: %w", err)
		}
		return address("right", fmt.Sprintf("10.9.%d.2/24", host+1), fmt.Sprintf("fd09:%d::2/64", host+1))
	})
	c.in(t, host+1, func() error {
		return address("left", near(host+1, false).String()+"/24", near(host+1, true).String()+"/64")
	})
}

func address(device string, prefixes ...string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("add %s: %w", p, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// route makes this thread's namespace a router, which sends all that lies to the
// left there, and everything else to the right.
func (c *chain) route(host int) error {
	if err := set("1", "ipv4/ip_forward", "ipv6/conf/all/forwarding"); err != nil {
		return err
	}
	for i := 1; i < host; i++ {
		if err := via(fmt.Sprintf("10.9.%d.0/24", i), fmt.Sprintf("10.9.%d.2", host)); err != nil {
			return err
		}
		if err := via(fmt.Sprintf("fd09:%d::/64", i), fmt.Sprintf("fd09:%d::2", host)); err != nil {
			return err
		}
	}
	if host == len(c.hosts)-1 {
		return nil
	}
	if err := via("0.0.0.0/0", near(host+1, false).String()); err != nil {
		return err
	}
	return via("::/0", near(host+1, true).String())
}

func via(prefix, gateway string) error {
	_, to, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(gateway)}); err != nil {
		return fmt.Errorf("route %s by way of %s: %w", prefix, gateway, err)
	}
	return nil
}

// refuse makes a router answer that a network cannot be reached.
func refuse(prefix string) error {
	_, to, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: to, Type: unix.RTN_UNREACHABLE})
}

// silence lets all that a host itself sends vanish, so that it forwards without
// a word.
func silence() error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		r := netlink.NewRule()
		r.Family, r.Priority, r.IifName, r.Type = family, 10, "lo", unix.FR_ACT_BLACKHOLE
		if err := netlink.RuleAdd(r); err != nil {
			return fmt.Errorf("silence a router: %w", err)
		}
	}
	return nil
}
