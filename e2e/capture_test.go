package e2e

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A capture counts the packets that went over the loopback device to one
// destination, by their source.
type capture struct {
	handle *pcapgo.EthernetHandle
	done   sync.WaitGroup

	mu      sync.Mutex
	sources map[netip.Addr]int
}

// captureTo starts counting.
func captureTo(t *testing.T, to netip.AddrPort) *capture {
	t.Helper()
	h, err := pcapgo.NewEthernetHandle("lo")
	if err != nil {
		t.Fatalf("capture on the loopback device: %v", err)
	}
	c := &capture{handle: h, sources: make(map[netip.Addr]int)}
	c.done.Go(func() { c.count(to) })
	t.Cleanup(c.close)
	return c
}

func (c *capture) count(to netip.AddrPort) {
	for {
		data, _, err := c.handle.ReadPacketData()
		if err != nil {
			return
		}
		p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Lazy)
		ip, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if !ok {
			continue
		}
		from, _ := netip.AddrFromSlice(ip.SrcIP)
		dst, _ := netip.AddrFromSlice(ip.DstIP)
		if dst != to.Addr() {
			continue
		}
		c.mu.Lock()
		c.sources[from]++
		c.mu.Unlock()
	}
}

// seen is a copy of the counters.
func (c *capture) seen() map[netip.Addr]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[netip.Addr]int, len(c.sources))
	for a, n := range c.sources {
		m[a] = n
	}
	return m
}

func (c *capture) close() {
	c.handle.Close()
	c.done.Wait()
}
