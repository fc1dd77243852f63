package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/authority"
	"safing/tinker/policy"
)

// SignPolicy returns a policy of suites that all authorities have signed, which
// holds for an hour.
func (n *Network) SignPolicy(t testing.TB, version uint64, rules ...policy.Rule) []byte {
	t.Helper()
	p := &policy.Policy{Network: n.Trust.Name, Version: version, Expires: time.Now().Add(time.Hour), Rules: rules}
	signed, err := p.Sign(n.signers(t)[len(n.cosigners):]...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// SetPolicy puts a policy into the folder of the first authority, and returns when
// the map has it.
func (n *Network) SetPolicy(t testing.TB, signed []byte) {
	t.Helper()
	p, err := authority.OpenPolicy(n.Trust, signed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.authorities[0].state, authority.PolicyFile)
	if err := os.WriteFile(path+".new", signed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	n.Await(t, fmt.Sprintf("policy %d", p.Version), func(m *netmap.Map) bool {
		listed, err := authority.OpenPolicy(n.Trust, m.Policy)
		return err == nil && listed.Version == p.Version
	})
}
