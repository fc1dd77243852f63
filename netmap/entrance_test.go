package netmap

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"safing/internal/canonical"
)

func entrance(w Wrapping, addr, host string) Entrance {
	return Entrance{Wrapping: w, Addr: netip.MustParseAddrPort(addr), Host: host}
}

func TestEntrances(t *testing.T) {
	d, key := newDescriptor(t, 1)
	without := d.Binding()
	d.Entrances = []Entrance{entrance(QUIC, "192.0.2.1:17", ""), entrance(TLS, "192.0.2.2:443", "www.example.org"), entrance(TLS, "192.0.2.1:443", "")}
	signed, err := d.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenDescriptor(signed)
	if err != nil || !slices.Equal(got.Entrances, d.Entrances) {
		t.Errorf("entrances %v, %v, want %v", got.Entrances, err, d.Entrances)
	}
	if got.Binding() != d.Binding() || got.Binding() == without {
		t.Error("the binding does not hold the entrances")
	}
	if (&Descriptor{}).Offers(TCP, QUIC) || !(&Descriptor{}).Offers() || !d.Offers(QUIC) || !d.Offers(3, TLS) || d.Offers(3) {
		t.Error("what the node offers is wrong")
	}
	for w, want := range map[Wrapping][]Entrance{
		TCP:  {entrance(TCP, "192.0.2.1:17", ""), entrance(TCP, "[2001:db8::1]:17", "")},
		QUIC: d.Entrances[:1],
		TLS:  d.Entrances[1:],
	} {
		if got := d.Ways(w); !slices.Equal(got, want) {
			t.Errorf("ways in %s: %v, want %v", w, got, want)
		}
	}
}

func TestEntranceBounds(t *testing.T) {
	good := entrance(TLS, "192.0.2.1:443", "")
	hosts := func(host string) []Entrance {
		return []Entrance{{Wrapping: TLS, Addr: good.Addr, Host: host}}
	}
	for name, spoilt := range map[string][]Entrance{
		"many":            slices.Repeat([]Entrance{good}, 9),
		"twice":           {good, good},
		"plain TCP":       {entrance(TCP, "192.0.2.1:443", "")},
		"unknown":         {entrance(3, "192.0.2.1:443", "")},
		"any address":     {entrance(TLS, "0.0.0.0:443", "")},
		"no port":         {entrance(TLS, "192.0.2.1:0", "")},
		"mapped":          {entrance(TLS, "[::ffff:192.0.2.1]:443", "")},
		"no address":      {{Wrapping: TLS}},
		"host with QUIC":  {entrance(QUIC, "192.0.2.1:443", "example.org")},
		"upper case":      hosts("Example.org"),
		"one label":       hosts("localhost"),
		"empty label":     hosts("example..org"),
		"final dot":       hosts("example.org."),
		"address":         hosts("192.0.2.1"),
		"long label":      hosts(strings.Repeat("a", 64) + ".org"),
		"long":            hosts(strings.Repeat("abcdefg.", 32) + "org"),
		"hyphen in front": hosts("-a.org"),
		"line":            hosts("example.org\r\nx"),
	} {
		t.Run(name, func(t *testing.T) {
			d, key := newDescriptor(t, 1)
			d.Entrances = spoilt
			if _, err := d.Sign(key); !errors.Is(err, ErrDescriptor) {
				t.Errorf("error %v, want %v", err, ErrDescriptor)
			}
		})
	}
}

// A descriptor without entrances has one form only.
func TestNoEntrancesHasOneForm(t *testing.T) {
	d, key := newDescriptor(t, 1)
	body, err := canonical.Encode(d.wire())
	if err != nil {
		t.Fatal(err)
	}
	if body[0] != 0xad {
		t.Fatalf("the body begins with %#x, want a map of 13 pairs", body[0])
	}
	body = append(body, 15, 0x80) // and an empty list
	body[0]++
	signed := append(ed25519.Sign(key, append([]byte(descriptorPrefix), body...)), body...)
	if _, err := OpenDescriptor(signed); !errors.Is(err, ErrDescriptor) {
		t.Errorf("an empty list of entrances: %v, want %v", err, ErrDescriptor)
	}
}

// An entrance counts as the node's place as much as its other addresses do.
func TestEntranceIsPlace(t *testing.T) {
	d, _ := newDescriptor(t, 1)
	d.Addresses = addrPorts("8.8.8.8:17")
	policy, err := ParseExitPolicy([]string{"public"})
	if err != nil {
		t.Fatal(err)
	}
	d.Exit = policy
	to := netip.MustParseAddrPort("8.8.4.4:22")
	if err := d.CheckPublic(); err != nil || !d.Allows(to) {
		t.Errorf("without entrances: %v, allows %s: %v", err, to, d.Allows(to))
	}
	d.Entrances = []Entrance{entrance(QUIC, "8.8.4.4:17", "")}
	if d.Allows(to) {
		t.Error("the exit connects to its own entrance")
	}
	d.Entrances = []Entrance{entrance(QUIC, "10.0.0.1:17", "")}
	if err := d.CheckPublic(); !errors.Is(err, ErrDescriptor) {
		t.Errorf("a private entrance: %v", err)
	}
}

func TestParseWrapping(t *testing.T) {
	for w := TCP; w <= TLS; w++ {
		if got, err := ParseWrapping(w.String()); got != w || err != nil {
			t.Errorf("%s: %v, %v", w, got, err)
		}
	}
	if _, err := ParseWrapping("carrier pigeon"); err == nil {
		t.Error("an unknown wrapping was read")
	}
}
