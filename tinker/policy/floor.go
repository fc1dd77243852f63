package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/tinker"
)

// A Floor is what a product has compiled in: no policy goes below it.
type Floor struct {
	// Network is whose policies are taken.
	Network string
	// Verifiers are the keys of the network's authorities. No two may be of
	// the same key.
	Verifiers []note.Verifier
	// Threshold is how many of them have to sign. Zero means all.
	Threshold int
	// Version is the lowest version that is taken. Zero means 1.
	Version uint64
	// Forbidden are suites that may never be used again. A policy that lets
	// one be used is refused as a whole: so the authorities forbid a suite, or
	// leave it out, before a product does.
	Forbidden []tinker.SuiteID
	// Default are the suites, best first, that may be used before a policy of
	// Version or higher has been seen, until DefaultUntil. None may be used if
	// it is empty.
	Default      []tinker.SuiteID
	DefaultUntil time.Time
}

func (f *Floor) validate() error {
	if err := validNetwork(f.Network); err != nil {
		return err
	}
	if len(f.Verifiers) == 0 {
		return errors.New("it names no verifiers")
	}
	if f.Threshold < 0 || f.Threshold > len(f.Verifiers) {
		return fmt.Errorf("threshold %d: it has to be 1 to %d, the number of verifiers, or 0 for all",
			f.Threshold, len(f.Verifiers))
	}
	for i, v := range f.Verifiers {
		if slices.ContainsFunc(f.Verifiers[:i], func(before note.Verifier) bool {
			return before.Name() == v.Name() && before.KeyHash() == v.KeyHash()
		}) {
			return fmt.Errorf("it names the verifier %s+%08x twice", v.Name(), v.KeyHash())
		}
	}
	if len(f.Default) == 0 {
		return nil
	}
	if f.DefaultUntil.IsZero() {
		return errors.New("its default has no end: set DefaultUntil")
	}
	d := f.defaultPolicy()
	d.Version = f.Version
	if err := d.validate(); err != nil {
		return fmt.Errorf("default: %w", err)
	}
	return f.admit(d)
}

// own returns a floor that the caller can't change, with zero values replaced.
func (f Floor) own() *Floor {
	f.Verifiers = slices.Clone(f.Verifiers)
	f.Forbidden = slices.Clone(f.Forbidden)
	f.Default = slices.Clone(f.Default)
	f.Version = max(1, f.Version)
	return &f
}

// defaultPolicy counts before any policy, and has the version before all.
func (f *Floor) defaultPolicy() *Policy {
	p := &Policy{Network: f.Network, Expires: f.DefaultUntil}
	for i, suite := range f.Default {
		status := Allowed
		if i == 0 {
			status = Preferred
		}
		p.Rules = append(p.Rules, Rule{Suite: suite, Status: status})
	}
	return p
}

// admit checks an authentic policy against the floor.
func (f *Floor) admit(p *Policy) error {
	if p.Network != f.Network {
		return fmt.Errorf("%w: it is of the network %q, not %q", ErrPolicy, p.Network, f.Network)
	}
	if p.Version < f.Version {
		return fmt.Errorf("%w: it has version %d, and this build takes version %d at least", ErrRollback, p.Version, f.Version)
	}
	for _, suite := range p.usable() {
		if slices.Contains(f.Forbidden, suite) {
			return fmt.Errorf("%w: version %d lets %s be used, which this build forbids for ever", ErrForbidden, p.Version, suite)
		}
	}
	return nil
}
