package authority

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"safing/netmap"
	"safing/tinker/policy"
)

// PolicyFile is the name of the file in an authority's folder that may hold a
// policy of suites: [LoadPolicy].
const PolicyFile = "policy"

// A SuitePolicy is a policy of suites that enough of a network's authorities
// have signed.
type SuitePolicy struct {
	policy.Policy
	Signed []byte // as a note, in its only form for its signatures
}

// OpenPolicy verifies a policy of the network. When it expires does not matter.
func OpenPolicy(n *netmap.Network, signed []byte) (*SuitePolicy, error) {
	if len(signed) > maxPolicy {
		return nil, fmt.Errorf("the suite policy has more than %d bytes", maxPolicy)
	}
	verifiers, err := n.Verifiers()
	if err != nil {
		return nil, err
	}
	p, canonical, signatures, err := policy.Gather([][]byte{signed}, verifiers)
	if err != nil {
		return nil, err
	}
	if signatures < n.Threshold {
		return nil, fmt.Errorf("%w (%d of %d signatures)", policy.ErrSignature, signatures, n.Threshold)
	}
	if p.Network != n.Name {
		return nil, fmt.Errorf("the suite policy is of the network %s, not %s", p.Network, n.Name)
	}
	return &SuitePolicy{*p, canonical}, nil
}

// LoadPolicy returns the policy in the file; nil if there is none.
func LoadPolicy(n *netmap.Network, path string) (*SuitePolicy, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, err
	}
	p, err := OpenPolicy(n, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// newer says whether the policy should replace another, which may be nil. Of two
// of one version, which only a thief of keys makes, all take the same one.
func (p *SuitePolicy) newer(than *SuitePolicy) bool {
	if p == nil || than == nil {
		return p != nil
	}
	return cmp.Or(cmp.Compare(p.Version, than.Version), bytes.Compare(p.Signed, than.Signed)) > 0
}

// agreedPolicy returns the newest policy of the votes that enough of the
// authorities have signed; nil if there is none. As they vouch for it by
// signing, one vote is enough to have it on the map.
func agreedPolicy(n *netmap.Network, votes []*vote) (newest *SuitePolicy) {
	for _, v := range votes {
		if v.policy == "" {
			continue
		}
		if p, err := OpenPolicy(n, []byte(v.policy)); err == nil && p.newer(newest) { // a hostile vote may have anything
			newest = p
		}
	}
	return newest
}

// newestPolicy returns the newer of the policies in the file and on the map,
// where it stays once it was there; nil if there is none. Of one version the map's
// is taken: members have seen it.
func (a *Authority) newestPolicy() *SuitePolicy {
	own, err := LoadPolicy(a.network, a.policyFile)
	if err != nil {
		a.log.Error("the policy of suites is left out", "error", err)
	}
	listed := a.listedPolicy()
	if listed == nil || own != nil && own.Version > listed.Version {
		return own
	}
	return listed
}

// listedPolicy returns the policy on the newest map; nil if there is none.
func (a *Authority) listedPolicy() *SuitePolicy {
	a.mu.Lock()
	m := a.current.m
	a.mu.Unlock()
	if m == nil || len(m.Policy) == 0 {
		return nil
	}
	p, err := OpenPolicy(a.network, m.Policy)
	if err != nil {
		a.log.Error("the policy of suites on the last map does not count any more: its authorities have to sign it again", "error", err)
		return nil
	}
	return p
}

// hasNewerPolicy says whether the file has a newer policy than the map.
func (a *Authority) hasNewerPolicy() bool {
	p, listed := a.newestPolicy(), a.listedPolicy()
	return p != nil && (listed == nil || p.Version > listed.Version)
}
