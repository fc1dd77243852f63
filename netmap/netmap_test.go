package netmap

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"safing/internal/canonical"
)

func addrPorts(s ...string) (a []netip.AddrPort) {
	for _, s := range s {
		a = append(a, netip.MustParseAddrPort(s))
	}
	return a
}

func newDescriptor(t testing.TB, seed byte) (*Descriptor, ed25519.PrivateKey) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	policy, err := ParseExitPolicy([]string{"web", "accept 127.0.0.0/8:*"})
	if err != nil {
		t.Fatal(err)
	}
	return &Descriptor{
		ID: NodeID(key.Public().(ed25519.PublicKey)), Name: "alder", Owner: "ada", Country: "DE", ASN: 64500,
		Addresses: addrPorts("192.0.2.1:17", "[2001:db8::1]:17"), Exit: policy,
		Links:     []Link{{To: NodeID{9}, RTT: 12345 * time.Microsecond}},
		Published: time.Now().UTC().Truncate(time.Second),
	}, key
}

func TestDescriptor(t *testing.T) {
	d, key := newDescriptor(t, 1)
	d.MaxDelay, d.MaxPadding = time.Second, 100
	signed, err := d.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenDescriptor(signed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, got, cmp.AllowUnexported(ExitPolicy{}, exitRule{}, portRange{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for i := range signed {
		flipped := bytes.Clone(signed)
		flipped[i] ^= 1
		if _, err := OpenDescriptor(flipped); !errors.Is(err, ErrDescriptor) {
			t.Fatalf("with byte %d flipped: %v", i, err)
		}
	}
	if _, err := OpenDescriptor(append(bytes.Clone(signed), 0)); !errors.Is(err, ErrDescriptor) {
		t.Errorf("with a byte behind it: %v", err)
	}
}

// A list that is empty has one form, and so has a key that is not there.
func TestDescriptorHasOneForm(t *testing.T) {
	d, key := newDescriptor(t, 1)
	d.Links = nil
	for name, spoil := range map[string]func(*descriptorWire){
		"links":      func(w *descriptorWire) { w.Links = []linkWire{} },
		"long load":  func(w *descriptorWire) { w.Load = 5 },
		"short key":  func(w *descriptorWire) { w.OwnerKey = []byte{1} },
		"zero proof": func(w *descriptorWire) { w.OwnerProof = make([]byte, 64) },
	} {
		w := d.wire()
		spoil(&w)
		body, err := canonical.Encode(w)
		if err != nil {
			t.Fatal(err)
		}
		signed := append(ed25519.Sign(key, append([]byte(descriptorPrefix), body...)), body...)
		if _, err := OpenDescriptor(signed); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %v, want %v", name, err, ErrDescriptor)
		}
	}
}

// A descriptor has one form, the one that its values make.
func TestDescriptorExitRules(t *testing.T) {
	d, key := newDescriptor(t, 1)
	for _, rules := range [][]string{{"public"}, {"none"}, {" accept *:80"}} {
		w := d.wire()
		w.Exit = rules
		body, err := canonical.Encode(w)
		if err != nil {
			t.Fatal(err)
		}
		signed := append(ed25519.Sign(key, append([]byte(descriptorPrefix), body...)), body...)
		if _, err := OpenDescriptor(signed); !errors.Is(err, ErrDescriptor) {
			t.Errorf("with the rules %q: %v, want %v", rules, err, ErrDescriptor)
		}
	}
}

func TestBinding(t *testing.T) {
	d, _ := newDescriptor(t, 1)
	was := d.Binding()
	d.Links, d.Capacity, d.Load, d.Closed, d.Published, d.Appeal = nil, 5, 50, true, time.Time{}, "not guilty"
	d.OwnerProof[0]++
	if d.Binding() != was {
		t.Error("the binding changes with what may change")
	}
	d.Owner = "eve"
	if d.Binding() == was {
		t.Error("the binding does not hold the owner")
	}
}

func TestDescriptorBounds(t *testing.T) {
	for name, spoil := range map[string]func(*Descriptor){
		"no name":        func(d *Descriptor) { d.Name = "" },
		"long owner":     func(d *Descriptor) { d.Owner = strings.Repeat("x", 65) },
		"control":        func(d *Descriptor) { d.Contact = "a\x1b[2J" },
		"country":        func(d *Descriptor) { d.Country = "de" },
		"no address":     func(d *Descriptor) { d.Addresses = nil },
		"any address":    func(d *Descriptor) { d.Addresses = addrPorts("0.0.0.0:17") },
		"link to itself": func(d *Descriptor) { d.Links[0].To = d.ID },
		"links":          func(d *Descriptor) { d.Links = make([]Link, 257) },
		"delay":          func(d *Descriptor) { d.MaxDelay = 11 * time.Second },
		"negative delay": func(d *Descriptor) { d.MaxDelay = -time.Second },
		"delay in µs":    func(d *Descriptor) { d.MaxDelay = time.Microsecond },
		"padding":        func(d *Descriptor) { d.MaxPadding = 1001 },
		"load":           func(d *Descriptor) { d.Load = 15 },
		"load above all": func(d *Descriptor) { d.Load = 110 },
		"appeal":         func(d *Descriptor) { d.Appeal = strings.Repeat("x", 257) },
		"key of owner":   func(d *Descriptor) { d.OwnerKey[0] = 1 },
		"proof of owner": func(d *Descriptor) { d.OwnerProof[0] = 1 },
		"systems":        func(d *Descriptor) { d.Links[0].Crossed.ASNs = []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9} },
		"order":          func(d *Descriptor) { d.Links[0].Crossed.ASNs = []uint32{2, 1} },
		"countries":      func(d *Descriptor) { d.Links[0].Crossed.Countries = []string{"d"} },
	} {
		t.Run(name, func(t *testing.T) {
			d, key := newDescriptor(t, 1)
			spoil(d)
			if _, err := d.Sign(key); !errors.Is(err, ErrDescriptor) {
				t.Errorf("error %v, want %v", err, ErrDescriptor)
			}
		})
	}
}

func TestExitPolicy(t *testing.T) {
	for _, c := range []struct {
		rules string
		to    string
		want  bool
	}{
		{"", "192.1.2.3:80", false},
		{"web", "8.8.8.8:443", true},
		{"web", "8.8.8.8:22", false},
		{"public", "8.8.8.8:25", false},
		{"public", "[2600::1]:22", true},
		{"public", "127.0.0.1:22", false},
		{"public", "192.168.1.1:80", false},
		{"public", "[::ffff:10.0.0.1]:80", false},
		{"public", "[fe80::1]:80", false},
		{"public", "[fe80::1%eth0]:80", false},
		{"accept [fe80::]/10:80", "[fe80::1%eth0]:80", true},
		{"public", "[3fff::1]:80", false},
		{"public", "[5f00::1]:80", false},
		{"public", "[::ffff:8.8.8.8]:80", true},
		{"accept 0.0.0.0/0:*", "10.0.0.1:80", false},
		{"none", "8.8.8.8:443", false},
		{"web", "8.8.8.8:80", true},
		{"web", "[2600::1]:443", true},
		{"reduced", "8.8.8.8:22", true},
		{"reduced", "8.8.8.8:53", true},
		{"reduced", "8.8.8.8:443", true},
		{"reduced", "8.8.8.8:465", true},
		{"reduced", "8.8.8.8:587", true},
		{"reduced", "8.8.8.8:51820", true},
		{"reduced", "8.8.8.8:23", false},
		{"reduced", "8.8.8.8:25", false},
		{"reduced", "8.8.8.8:445", false},
		{"reduced", "8.8.8.8:3389", false},
		{"reduced", "8.8.8.8:6881", false},
		{"reduced", "10.0.0.1:443", false},
		{"reject 8.8.8.8:* | reduced", "8.8.8.8:443", false},
		{"reduced | accept 192.168.7.0/24:445", "192.168.7.9:445", true},
		{"accept 127.0.0.0/8:*", "127.11.0.1:5", true},
		{"accept 126.0.0.0/7:*", "127.11.0.1:5", false},
		{"reject 127.0.0.66:* | accept 127.0.0.0/8:*", "127.0.0.66:5", false},
		{"reject *:25 | accept 127.0.0.0/8:*", "127.0.0.1:25", false},
		{"accept [::1]/128:*", "[::1]:5", true},
		{"accept 8.8.8.8:53-54,99", "8.8.8.8:54", true},
		{"accept 8.8.8.8:53-54,99", "8.8.8.8:55", false},
		{"accept 8.8.8.8:53", "8.8.4.4:53", false},
	} {
		var rules []string
		if c.rules != "" {
			rules = strings.Split(c.rules, " | ")
		}
		p, err := ParseExitPolicy(rules)
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
		} else if got := p.Allows(netip.MustParseAddrPort(c.to)); got != c.want {
			t.Errorf("%q allows %s: %v, want %v", c.rules, c.to, got, c.want)
		}
	}
	for _, bad := range []string{
		"", "allow *:80", "accept *", "accept *:0", "accept *:9-8", "accept *:70000", "accept x:80", "accept 1.2.3.4/33:80",
		"accept [fe80::1%\x1b[2J]:80", "reject ::ffff:10.0.0.0/104:*",
	} {
		if _, err := ParseExitPolicy([]string{bad}); err == nil || !strings.Contains(err.Error(), "write it like") {
			t.Errorf("rule %q: error %v", bad, err)
		}
	}
	p, _ := ParseExitPolicy([]string{"reject *:25", "accept 127.0.0.0/8:*", "accept *:80"})
	if p.AllowsPort(25) || !p.AllowsPort(80) || !p.AllowsPort(99) {
		t.Error("AllowsPort is wrong")
	}
}

// Whatever a policy says of all addresses, it says of public ones alone: those
// of machines and local networks, and those that hold or lead to one, are refused
// unless a rule names them.
func TestExitPolicyOfSpecialAddresses(t *testing.T) {
	special := []string{
		"0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250",
		"240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::10.0.0.1", "100::1", "100:0:0:1::1",
		"2001::1", "2001:0:a00:1::", "2001:20::1", "2001:db8::1", "2002:a00:1::1", "2002:7f00:1::1", "3fff::1",
		"5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
		"1::1", "4000::1", "9999::1", // not allocated
	}
	public := []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.88.98.1", "223.255.255.255", "2600::1", "2a00::1", "2001:4860::1", "::ffff:8.8.8.8"}
	for _, rules := range [][]string{{"public"}, {"accept *:*"}, {"accept 0.0.0.0/0:*", "accept [::]/0:*"}, {"accept 0.0.0.0/1:*", "accept 128.0.0.0/1:*", "accept [::]/2:*", "accept [::]/1:*"}} {
		p, err := ParseExitPolicy(rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range special {
			if addr := netip.MustParseAddr(a); p.Allows(netip.AddrPortFrom(addr, 443)) || IsPublic(addr) {
				t.Errorf("%v allows %s, or it is public", rules, a)
			}
		}
	}
	all, err := ParseExitPolicy([]string{"public"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range public {
		if addr := netip.MustParseAddr(a); !all.Allows(netip.AddrPortFrom(addr, 443)) || !IsPublic(addr) {
			t.Errorf("public does not allow %s, or it is not public", a)
		}
	}
	for _, a := range special { // named alone, it is what the operator wants
		addr := netip.MustParseAddr(a).Unmap()
		p, err := ParseExitPolicy([]string{"accept " + netip.PrefixFrom(addr, addr.BitLen()).String() + ":*"})
		if err != nil {
			t.Fatal(err)
		}
		if !p.Allows(netip.AddrPortFrom(addr, 443)) {
			t.Errorf("%s is refused though a rule names it", a)
		}
	}
}

// What a preset is called is not what others read of a node, but its rules.
func TestExitPresets(t *testing.T) {
	for _, preset := range ExitPresets() {
		p, err := ParseExitPolicy([]string{preset.Name})
		if err != nil || !slices.Equal(p.Rules(), preset.Rules) {
			t.Errorf("%s: %v, %v", preset.Name, p.Rules(), err)
		}
		if p.AllowsPort(25) {
			t.Errorf("%s delivers mail", preset.Name)
		}
	}
}

// What an exit can reach on its own machine is behind the firewall that keeps
// others out: only a rule that names the address opens it.
func TestExitPolicyOfOwnAddresses(t *testing.T) {
	d, _ := newDescriptor(t, 1)
	d.Addresses = []netip.AddrPort{netip.MustParseAddrPort("8.8.8.8:1717"), netip.MustParseAddrPort("[2600::1]:1717"), netip.MustParseAddrPort("127.0.0.1:1")}
	for _, c := range []struct {
		rule, to string
		want     bool
	}{
		{"public", "8.8.8.8:22", false},
		{"public", "[::ffff:8.8.8.8]:22", false},
		{"public", "[2600::1]:22", false},
		{"public", "8.8.8.9:22", true},
		{"accept 8.0.0.0/8:*", "8.8.8.8:22", false},
		{"accept 8.8.8.8:80", "8.8.8.8:80", true},
		{"accept 8.8.8.8:80", "8.8.8.8:22", false},
		{"accept 127.0.0.0/8:*", "127.0.0.1:80", true},
	} {
		p, err := ParseExitPolicy([]string{c.rule})
		if err != nil {
			t.Fatal(err)
		}
		d.Exit = p
		if got := d.Allows(netip.MustParseAddrPort(c.to)); got != c.want {
			t.Errorf("%q allows %s: %v, want %v", c.rule, c.to, got, c.want)
		}
	}
}

func TestNodeID(t *testing.T) {
	id := NodeID{1, 2, 3}
	if got, err := ParseNodeID(id.String()); err != nil || got != id || len(id.String()) != 52 {
		t.Errorf("%s: %v, %v", id, got, err)
	}
	if _, err := ParseNodeID("x"); !errors.Is(err, ErrNodeID) {
		t.Error(err)
	}
}

func FuzzOpenDescriptor(f *testing.F) {
	d, key := newDescriptor(f, 1)
	d.Entrances = []Entrance{entrance(QUIC, "192.0.2.1:17", ""), entrance(TLS, "192.0.2.1:443", "www.example.org")}
	signed, err := d.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		// The signature is made anew, so that what lies behind it is reached.
		if len(b) > ed25519.SignatureSize {
			var w descriptorWire
			if canonical.Decode(b[ed25519.SignatureSize:], &w, maxItems) == nil {
				if d, err := w.descriptor(); err == nil && d.Validate() == nil {
					d.Binding()
				}
			}
		}
		OpenDescriptor(b)
	})
}
