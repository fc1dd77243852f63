package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	family4 = 4
	family6 = 6
)

// A prefixKey is struct prefix, which Go would pad.
type prefixKey [4 + 1 + 16]byte

func newPrefixKey(p netip.Prefix) (key prefixKey, err error) {
	addr, bits := p.Addr(), p.Bits()
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	if !p.IsValid() || addr.Is4In6() {
		return key, fmt.Errorf("prefix %s is not valid", p)
	}
	family, bytes := familyOf(netip.PrefixFrom(addr, bits).Masked().Addr())
	binary.NativeEndian.PutUint32(key[:], uint32(8+bits))
	key[4] = family
	copy(key[5:], bytes[:])
	return key, nil
}

// familyOf returns the address as the programs keep it.
func familyOf(a netip.Addr) (family uint8, bytes [16]byte) {
	if a = a.Unmap(); a.Is4() {
		four := a.As4()
		copy(bytes[:], four[:])
		return family4, bytes
	}
	return family6, a.As16()
}

func newCases(cases []Case) (out guardCases, err error) {
	if len(cases) > MaxCases {
		return out, fmt.Errorf("%d cases are more than the %d that fit", len(cases), MaxCases)
	}
	for i, c := range cases {
		if c.Action < Permit || c.Action > Tunnel {
			return out, fmt.Errorf("case %d: there is no %s", i, c.Action)
		}
		if c.PortLow > c.PortHigh {
			return out, fmt.Errorf("case %d: ports %d to %d are in the wrong order", i, c.PortLow, c.PortHigh)
		}
		k := &out.List[i]
		k.Protocol, k.Action, k.Low, k.High, k.Rule = c.Protocol, uint8(c.Action), c.PortLow, c.PortHigh, c.Rule
	}
	out.Count = uint32(len(cases))
	return out, nil
}

// SetPolicy replaces what app may do. A connection is judged by the old
// entries or by the new ones, never by some of both. A prefix must not be
// given twice.
func (g *Guard) SetPolicy(app AppID, entries []Entry) error {
	table, err := g.newTable(entries)
	if err != nil {
		return fmt.Errorf("set the policy of application %d: %w", app, err)
	}
	defer table.Close() // the outer map holds it
	if err := g.objects.GuardPolicies.Put(uint32(app), table); err != nil {
		return fmt.Errorf("set the policy of application %d: %w", app, full(err))
	}
	return nil
}

func (g *Guard) newTable(entries []Entry) (*ebpf.Map, error) {
	spec := g.tableSpec.Copy()
	spec.MaxEntries = max(1, uint32(len(entries)))
	table, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := addEntry(table, e); err != nil {
			return nil, errors.Join(err, table.Close())
		}
	}
	return table, nil
}

func addEntry(table *ebpf.Map, e Entry) error {
	key, err := newPrefixKey(e.Prefix)
	if err != nil {
		return err
	}
	cases, err := newCases(e.Cases)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Prefix, err)
	}
	err = table.Update(key[:], &cases, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("%s is there twice", e.Prefix)
	}
	return err
}

// RemovePolicy leaves app without a policy, and with that without network. It
// is no error if it had none. Flows of app have no effect until it has one.
func (g *Guard) RemovePolicy(app AppID) error {
	err := g.objects.GuardPolicies.Delete(uint32(app))
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("remove the policy of application %d: %w", app, err)
	}
	return nil
}

// SetFlow says what app may do with one address, whatever its policy says of
// it. If no case matches the connection is denied. There is room for 131072
// flows of all applications.
func (g *Guard) SetFlow(app AppID, addr netip.Addr, cases []Case) error {
	value, err := newCases(cases)
	if err == nil && !addr.IsValid() {
		err = errors.New("the address is not valid")
	}
	if err == nil {
		key := newFlow(app, addr)
		err = full(g.objects.GuardFlows.Put(&key, &value))
	}
	if err != nil {
		return fmt.Errorf("set the flow of application %d to %s: %w", app, addr, err)
	}
	return nil
}

// DeleteFlow makes the policy hold for addr again. It is no error if there was
// no flow.
func (g *Guard) DeleteFlow(app AppID, addr netip.Addr) error {
	key := newFlow(app, addr)
	err := g.objects.GuardFlows.Delete(&key)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete the flow of application %d to %s: %w", app, addr, err)
	}
	return nil
}

func newFlow(app AppID, addr netip.Addr) guardFlow {
	family, bytes := familyOf(addr)
	return guardFlow{App: uint32(app), Family: uint32(family), Addr: bytes}
}

// BindExe makes an executable part of app. There is room for 16384.
func (g *Guard) BindExe(exe ExeID, app AppID) error {
	key := newExe(exe)
	if err := g.objects.GuardApps.Put(&key, uint32(app)); err != nil {
		return fmt.Errorf("bind an executable to application %d: %w", app, full(err))
	}
	return nil
}

// UnbindExe gives an executable back to application 0. It is no error if it
// was there.
func (g *Guard) UnbindExe(exe ExeID) error {
	key := newExe(exe)
	if err := g.objects.GuardApps.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("unbind an executable: %w", err)
	}
	return nil
}

// The kernel has the minor number in the low 20 bits; stat(2) puts it around
// the major number. See include/linux/kdev_t.h.
func newExe(e ExeID) guardExe {
	return guardExe{Ino: e.Ino, Dev: unix.Major(e.Dev)<<20 | unix.Minor(e.Dev)}
}

func (e guardExe) id() ExeID {
	return ExeID{Dev: unix.Mkdev(e.Dev>>20, e.Dev&(1<<20-1)), Ino: e.Ino}
}

func newEndpoint(a netip.AddrPort) (e guardEndpoint) {
	if a.IsValid() {
		e.Family, e.Addr = familyOf(a.Addr())
		e.Port = a.Port()
	}
	return e
}

func (e guardEndpoint) addrPort() netip.AddrPort {
	addr := netip.AddrFrom16(e.Addr)
	if e.Family == family4 {
		addr = netip.AddrFrom4([4]byte(e.Addr[:4]))
	}
	return netip.AddrPortFrom(addr, e.Port)
}

func full(err error) error {
	if errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%w: the kernel's table is full, use fewer applications or names", err)
	}
	return err
}
