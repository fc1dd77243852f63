package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"safing/tinker"
)

// The text of a policy (docs/spec/tinker.md#suite-policy):
//
//	tinker suite policy v1
//	network lab.example
//	version 7
//	expires 2027-01-31T00:00:00Z
//	TK2 preferred
//	TK3 allowed
//	TK1 deprecated 2026-12-31T00:00:00Z
//	TK9 forbidden
const (
	header   = "tinker suite policy v1"
	timeForm = "2006-01-02T15:04:05Z"
)

// text returns the only form in which the policy can be written.
func (p *Policy) text() (string, error) {
	if err := p.validate(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nnetwork %s\nversion %d\nexpires %s\n", header, p.Network, p.Version, formatTime(p.Expires))
	for _, r := range p.Rules {
		fmt.Fprintf(&b, "%s\n", r)
	}
	return b.String(), nil
}

func (r Rule) String() string {
	line := fmt.Sprintf("%s %s", r.Suite, r.Status)
	if r.Status == Deprecated {
		line += " " + formatTime(r.Until)
	}
	return line
}

func formatTime(t time.Time) string { return t.UTC().Format(timeForm) }

// parse reads a text, and takes only what text would write.
func parse(text string) (*Policy, error) {
	p, err := parseLines(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	canonical, err := p.text()
	if err != nil {
		return nil, err
	}
	if canonical != text {
		return nil, fmt.Errorf("%w: it is not in its only form", ErrPolicy)
	}
	return p, nil
}

func parseLines(text string) (*Policy, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != header {
		return nil, fmt.Errorf("its first line is not %q: it may need a newer build", header)
	}
	if len(lines) < 4 || len(lines) > 4+maxRules {
		return nil, fmt.Errorf("it has %d lines, and has to have 5 to %d", len(lines), 4+maxRules)
	}
	network, version, expires := lines[1], lines[2], lines[3]
	var (
		p  Policy
		ok bool
	)
	if p.Network, ok = strings.CutPrefix(network, "network "); !ok {
		return nil, errors.New("its second line is not the network")
	}
	number, ok := strings.CutPrefix(version, "version ")
	if !ok {
		return nil, errors.New("its third line is not the version")
	}
	var err error
	if p.Version, err = strconv.ParseUint(number, 10, 64); err != nil {
		return nil, fmt.Errorf("read its version: %w", err)
	}
	end, ok := strings.CutPrefix(expires, "expires ")
	if !ok {
		return nil, errors.New("its fourth line is not when it expires")
	}
	if p.Expires, err = time.Parse(timeForm, end); err != nil {
		return nil, fmt.Errorf("read when it expires: %w", err)
	}
	for _, line := range lines[4:] {
		r, err := parseRule(line)
		if err != nil {
			return nil, err
		}
		p.Rules = append(p.Rules, r)
	}
	return &p, nil
}

func parseRule(line string) (Rule, error) {
	var (
		r   Rule
		err error
	)
	name, says, _ := strings.Cut(line, " ")
	if r.Suite, err = parseSuite(name); err != nil {
		return Rule{}, err
	}
	status, until, dated := strings.Cut(says, " ")
	for r.Status = Forbidden; r.Status.String() != status; r.Status++ {
		if r.Status == Preferred {
			return Rule{}, fmt.Errorf("%s has the unknown status %q", r.Suite, status)
		}
	}
	if dated != (r.Status == Deprecated) {
		return Rule{}, fmt.Errorf("line %q: deprecated suites, and only they, have an end", line)
	}
	if dated {
		if r.Until, err = time.Parse(timeForm, until); err != nil {
			return Rule{}, fmt.Errorf("read until when %s may be used: %w", r.Suite, err)
		}
	}
	return r, nil
}

// parseSuite reads a suite's name. Unlike [tinker.ParseSuite] it takes suites
// that this build lacks.
func parseSuite(name string) (tinker.SuiteID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, "TK"), 10, 16)
	if id := tinker.SuiteID(n); err == nil && id.String() == name {
		return id, nil
	}
	return 0, fmt.Errorf("%q is not the name of a suite, such as TK1", name)
}
