package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"safing/tinker"
)

// Errors of Check, Best and Step: why a suite may not be used.
var (
	ErrForbidden  = errors.New("the suite is forbidden")
	ErrDeprecated = errors.New("the time of the deprecated suite is over")
	ErrNotListed  = errors.New("the suite is not in the policy")
	ErrExpired    = errors.New("the suite policy does not count any more: get a newer one, and check the clock")
	ErrDowngrade  = errors.New("the suite ranks lower than the one in use")
)

// check says whether the policy lets a suite be used.
func (p *Policy) check(suite tinker.SuiteID, now time.Time) error {
	if err := p.expired(now); err != nil {
		return err
	}
	i := p.rank(suite)
	if i < 0 {
		return fmt.Errorf("%w (version %d)", ErrNotListed, p.Version)
	}
	switch r := p.Rules[i]; {
	case r.Status == Allowed, r.Status == Preferred:
		return nil
	case r.Status != Deprecated:
		return fmt.Errorf("%w (version %d)", ErrForbidden, p.Version)
	case !now.Before(r.Until):
		return fmt.Errorf("%w (version %d: it ended at %s)", ErrDeprecated, p.Version, formatTime(r.Until))
	}
	return nil
}

func (p *Policy) expired(now time.Time) error {
	switch {
	case now.Before(p.Expires):
		return nil
	case p.Version == 0:
		return fmt.Errorf("%w (none has come yet, and the default of this build is too old or empty)", ErrExpired)
	}
	return fmt.Errorf("%w (version %d expired at %s, and now is %s)",
		ErrExpired, p.Version, formatTime(p.Expires), formatTime(now))
}

// rank returns the place of a suite, of which the first is the highest, or -1.
func (p *Policy) rank(suite tinker.SuiteID) int {
	return slices.IndexFunc(p.Rules, func(r Rule) bool { return r.Suite == suite })
}

// usable returns the suites that are not forbidden.
func (p *Policy) usable() []tinker.SuiteID {
	var suites []tinker.SuiteID
	for _, r := range p.Rules {
		if r.Status != Forbidden {
			suites = append(suites, r.Suite)
		}
	}
	return suites
}
