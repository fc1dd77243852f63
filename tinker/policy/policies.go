package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"safing/tinker"
)

// Errors of Update, besides those of [Open], [ErrForbidden] and [ErrExpired].
var (
	ErrRollback     = errors.New("the suite policy is too old")
	ErrEquivocation = errors.New("two different suite policies of one version are signed: " +
		"an authority's key may be stolen, ask the authorities")
)

// A Config says whose policies these are and where they are kept.
type Config struct {
	Floor Floor
	// Path is the file of the newest policy seen. Its folder must exist.
	Path string
	Now  func() time.Time // time.Now if nil
}

// Policies are a network's policies as they come, of which the newest counts.
// All methods may be called concurrently.
type Policies struct {
	floor *Floor
	path  string
	now   func() time.Time

	updating sync.Mutex // held from comparing with the newest to replacing it
	newest   atomic.Pointer[seen]
}

// A seen is a policy that was seen, or the floor's default. It doesn't change.
type seen struct {
	policy *Policy
	text   string // what was signed; empty for the default
	// void is why nothing may be used though the policy was the newest seen:
	// it doesn't agree with the floor of this build. An error that wraps
	// ErrExpired, or nil.
	void error
}

// Load reads which policy was seen last. A damaged file is an error, since
// without it a replayed policy would look new.
func Load(c Config) (*Policies, error) {
	ps := &Policies{floor: c.Floor.own(), path: c.Path, now: c.Now}
	if ps.now == nil {
		ps.now = time.Now
	}
	if err := ps.floor.validate(); err != nil {
		return nil, fmt.Errorf("load suite policy: floor: %w", err)
	}
	if ps.path == "" {
		return nil, errors.New("load suite policy: it needs a Path, where what was seen survives a restart")
	}
	s, err := recall(ps.path, ps.floor)
	if err != nil {
		return nil, fmt.Errorf("load suite policy: %w", err)
	}
	ps.newest.Store(s)
	return ps, nil
}

// Update takes a signed policy if it is newer than the newest seen. It is on
// disk before it counts. The policy that is the newest already is no error.
//
// After [ErrExpired] the policy has been taken, and nothing may be used until
// a newer one comes, or the clock is right. After any other error the policy
// that counted before still does.
func (ps *Policies) Update(signed []byte) error {
	text, err := open(signed, ps.floor.Threshold, ps.floor.Verifiers)
	if err != nil {
		return fmt.Errorf("update suite policy: %w", err)
	}
	p, err := parse(text)
	if err != nil {
		return fmt.Errorf("update suite policy: %w", err)
	}
	if err := ps.floor.admit(p); err != nil {
		return fmt.Errorf("update suite policy: %w", err)
	}
	if err := ps.replace(&seen{policy: p, text: text}, signed); err != nil {
		return fmt.Errorf("update suite policy: %w", err)
	}
	if err := p.expired(ps.now()); err != nil {
		return fmt.Errorf("update suite policy: %w", err)
	}
	return nil
}

func (ps *Policies) replace(next *seen, signed []byte) error {
	ps.updating.Lock()
	defer ps.updating.Unlock()
	was := ps.newest.Load()
	switch {
	case next.policy.Version < was.policy.Version:
		return fmt.Errorf("%w: it has version %d, and version %d was seen", ErrRollback, next.policy.Version, was.policy.Version)
	case next.policy.Version > was.policy.Version:
	case next.text != was.text:
		return fmt.Errorf("%w (version %d: seen with SHA-256 %x, now with %x)", ErrEquivocation,
			next.policy.Version, sha256.Sum256([]byte(was.text)), sha256.Sum256([]byte(next.text)))
	case was.void == nil:
		return nil
	}
	if err := remember(ps.path, signed); err != nil {
		return err
	}
	ps.newest.Store(next)
	return nil
}

// Newest returns the newest policy seen, or the floor's default, which has
// version 0.
func (ps *Policies) Newest() Policy {
	p := *ps.newest.Load().policy
	p.Rules = slices.Clone(p.Rules)
	return p
}

// Check says whether a hello or a session may use a suite. Ask again when a
// policy has come, and from time to time, for sessions that last: what may be
// used now may end. The error wraps [ErrForbidden], [ErrDeprecated],
// [ErrNotListed] or [ErrExpired].
func (ps *Policies) Check(suite tinker.SuiteID) error {
	return ps.check(ps.newest.Load(), suite, ps.now())
}

func (ps *Policies) check(s *seen, suite tinker.SuiteID, now time.Time) error {
	var err error
	switch {
	case slices.Contains(ps.floor.Forbidden, suite):
		err = fmt.Errorf("%w (for ever, by this build)", ErrForbidden)
	case s.void != nil:
		err = s.void
	default:
		err = s.policy.check(suite, now)
	}
	if err != nil {
		return fmt.Errorf("suite %s: %w", suite, err)
	}
	return nil
}

// Best returns the highest of the available suites that may be used: the
// preferred one, else an allowed one, else a deprecated one, each in the order
// of the policy. The error wraps those of [Policies.Check].
func (ps *Policies) Best(available []tinker.SuiteID) (tinker.SuiteID, error) {
	s, now := ps.newest.Load(), ps.now()
	for _, r := range s.policy.Rules {
		if slices.Contains(available, r.Suite) && ps.check(s, r.Suite, now) == nil {
			return r.Suite, nil
		}
	}
	err := fmt.Errorf("none of the suites %v may be used", available)
	for _, suite := range available {
		err = fmt.Errorf("%w; %w", err, ps.check(s, suite, now))
	}
	return 0, err
}

// Next returns the suite of a running session's next step: the one in use as long
// as it may be used, so that sides whose policies differ agree, else the best that
// this build has. The error wraps those of [Policies.Check].
func (ps *Policies) Next(suite tinker.SuiteID) (tinker.SuiteID, error) {
	if ps.Check(suite) == nil {
		return suite, nil
	}
	return ps.Best(tinker.Suites())
}

// Step says whether a running session may go from one suite to another: to has
// to pass [Policies.Check], and must not stand lower in the policy. A suite
// that may not be used any more ranks below all that may. The error wraps
// [ErrDowngrade] or those of Check.
func (ps *Policies) Step(from, to tinker.SuiteID) error {
	s, now := ps.newest.Load(), ps.now()
	if err := ps.check(s, to, now); err != nil {
		return fmt.Errorf("step from %s: %w", from, err)
	}
	if ps.check(s, from, now) == nil && s.policy.rank(to) > s.policy.rank(from) {
		return fmt.Errorf("step from %s to %s: %w (version %d)", from, to, ErrDowngrade, s.policy.Version)
	}
	return nil
}
