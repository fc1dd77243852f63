package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/tinker"
)

// Errors of Sign and Open.
var (
	ErrPolicy    = errors.New("the suite policy is invalid")
	ErrSignature = errors.New("the suite policy is not signed by enough of the network's authorities: " +
		"check that it is of the right network")
)

// A Status is what a policy says about a suite. The zero value forbids it.
type Status uint8

// The statuses, in rising order.
const (
	Forbidden Status = iota
	Deprecated
	Allowed
	Preferred
)

func (s Status) String() string {
	switch s {
	case Forbidden:
		return "forbidden"
	case Deprecated:
		return "deprecated"
	case Allowed:
		return "allowed"
	case Preferred:
		return "preferred"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// A Rule is one line of a policy.
type Rule struct {
	Suite  tinker.SuiteID
	Status Status
	Until  time.Time // of a deprecated suite only: its end
}

// A Policy says which suites may be used. Its text has one form:
// docs/spec/tinker.md#suite-policy. Times are in whole seconds; what is
// smaller is left out.
type Policy struct {
	Network string
	Version uint64 // from 1, rises with every policy of the network
	Expires time.Time
	// Rules are in the order of their rank: exactly one preferred suite, then
	// the allowed, then the deprecated, then the forbidden ones by number.
	Rules []Rule
}

// Bounds of a policy.
const (
	maxSigned  = 16 << 10 // bytes, with its signatures
	maxNetwork = 253      // bytes of a name
	maxRules   = 64
)

// Sign returns the policy's text as a C2SP signed note.
func (p *Policy) Sign(signers ...note.Signer) ([]byte, error) {
	text, err := p.text()
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign suite policy: %w", err)
	}
	return signed, nil
}

// Open reads a policy that at least threshold of the verifiers have signed;
// all of them, if the threshold is zero. It looks at neither network, version
// nor time: that is for [Policies]. The error wraps [ErrSignature] or
// [ErrPolicy].
func Open(signed []byte, threshold int, verifiers ...note.Verifier) (*Policy, error) {
	text, err := open(signed, threshold, verifiers)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func open(signed []byte, threshold int, verifiers []note.Verifier) (text string, err error) {
	text, signers, err := readNote(signed, verifiers)
	if err != nil {
		return "", err
	}
	if threshold <= 0 {
		threshold = max(1, len(verifiers))
	}
	if signers < threshold {
		return "", fmt.Errorf("%w (%d of %d signatures)", ErrSignature, signers, threshold)
	}
	return text, nil
}

// readNote returns a note's text and how many of the verifiers have signed it,
// which may be none.
func readNote(signed []byte, verifiers []note.Verifier) (text string, signers int, err error) {
	n, err := openNote(signed, verifiers)
	if err != nil {
		return "", 0, err
	}
	return n.Text, len(n.Sigs), nil
}

// openNote returns a note with those of its signatures in Sigs that are the
// verifiers'.
func openNote(signed []byte, verifiers []note.Verifier) (*note.Note, error) {
	if len(signed) > maxSigned {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrPolicy, len(signed), maxSigned)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return unverified.Note, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrSignature, err)
	}
	return n, nil
}

func (p *Policy) validate() error {
	if err := validNetwork(p.Network); err != nil {
		return err
	}
	if p.Version == 0 {
		return errors.New("its version is 0: versions begin at 1")
	}
	if err := validTime(p.Expires); err != nil {
		return fmt.Errorf("when it expires: %w", err)
	}
	if len(p.Rules) == 0 || len(p.Rules) > maxRules {
		return fmt.Errorf("it names %d suites: it has to name 1 to %d", len(p.Rules), maxRules)
	}
	if p.Rules[0].Status != Preferred {
		return errors.New("its first suite is not preferred: exactly one has to be, in the first place")
	}
	for i, r := range p.Rules {
		if err := r.validate(); err != nil {
			return err
		}
		if i > 0 {
			if err := r.follows(p.Rules[i-1]); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(p.Rules[:i], func(before Rule) bool { return before.Suite == r.Suite }) {
			return fmt.Errorf("it names %s twice", r.Suite)
		}
	}
	return nil
}

func validNetwork(name string) error {
	if name == "" || len(name) > maxNetwork || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '+' || r > '~' }) {
		return fmt.Errorf("network name %q: it has to be 1 to %d plain letters without spaces or +", name, maxNetwork)
	}
	return nil
}

func validTime(t time.Time) error {
	if year := t.UTC().Year(); t.IsZero() || year < 1 || year > 9999 {
		return fmt.Errorf("the time is not set, or in the year %d, which can't be written", year)
	}
	return nil
}

func (r Rule) validate() error {
	switch {
	case r.Suite == 0:
		return errors.New("it names suite 0: suites begin at 1")
	case r.Status > Preferred:
		return fmt.Errorf("%s has an unknown status", r.Suite)
	case r.Status != Deprecated && !r.Until.IsZero():
		return fmt.Errorf("%s is %s and has an end: only a deprecated suite has one", r.Suite, r.Status)
	case r.Status != Deprecated:
		return nil
	}
	if err := validTime(r.Until); err != nil {
		return fmt.Errorf("until when %s may be used: %w", r.Suite, err)
	}
	return nil
}

// follows checks the order. What is forbidden has no rank; for one form of the
// text it goes by number.
func (r Rule) follows(before Rule) error {
	switch {
	case r.Status == Preferred:
		return fmt.Errorf("%s is preferred, as is %s: exactly one has to be", r.Suite, before.Suite)
	case r.Status > before.Status:
		return fmt.Errorf("%s is %s and stands after %s, which is %s: the order is preferred, allowed, deprecated, forbidden",
			r.Suite, r.Status, before.Suite, before.Status)
	case r.Status == Forbidden && before.Status == Forbidden && r.Suite < before.Suite:
		return fmt.Errorf("%s stands after %s: forbidden suites go by number", r.Suite, before.Suite)
	}
	return nil
}
