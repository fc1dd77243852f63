package labels

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Bounds of names, RFC 1035 section 2.3.4, in bytes.
const (
	maxDomain      = 253
	maxDomainLabel = 63
	maxLabel       = 32
)

var (
	// ErrDomain means that a text is not a domain that can carry a label.
	ErrDomain = errors.New("not a domain")
	// ErrLabel means that a text is not the name of a label.
	ErrLabel = errors.New("not a label: use lower-case letters, digits and single hyphens, at most 32")
)

// ParseDomain returns the one form in which a domain is kept: lower case,
// A-labels (RFC 5891), no final dot. It takes host names with underscores,
// which occur, and refuses addresses and names of a single label, which
// would stand for a whole top-level domain.
func ParseDomain(text string) (string, error) {
	name := strings.TrimSuffix(strings.TrimSpace(text), ".")
	// No A-label is shorter than its text by more than the bytes of UTF-8.
	if name == "" || len(name) > 4*maxDomain {
		return "", fmt.Errorf("%w: %q has %d bytes, of 1 to %d", ErrDomain, shorten(text), len(name), maxDomain)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: %q is not UTF-8", ErrDomain, shorten(text))
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", fmt.Errorf("%w: %q is an address", ErrDomain, name)
	}
	ascii, err := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false)).ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %w", ErrDomain, shorten(text), err)
	}
	ascii = strings.TrimSuffix(ascii, ".") // other scripts' full stops become dots
	if len(ascii) > maxDomain {
		return "", fmt.Errorf("%w: %q has more than %d bytes", ErrDomain, shorten(text), maxDomain)
	}
	parts := strings.Split(ascii, ".")
	if len(parts) < 2 {
		return "", fmt.Errorf("%w: %q has no dot", ErrDomain, shorten(text))
	}
	for _, part := range parts {
		if why := wrongPart(part); why != "" {
			return "", fmt.Errorf("%w: %q: %s", ErrDomain, shorten(text), why)
		}
	}
	if strings.Trim(parts[len(parts)-1], "0123456789") == "" {
		return "", fmt.Errorf("%w: %q ends like an address", ErrDomain, shorten(text))
	}
	return ascii, nil
}

// wrongPart says what is wrong with one part of a domain, "" if nothing.
func wrongPart(part string) string {
	switch {
	case part == "":
		return "two dots follow each other, or it begins with one"
	case len(part) > maxDomainLabel:
		return fmt.Sprintf("a part has more than %d bytes", maxDomainLabel)
	case part[0] == '-' || part[len(part)-1] == '-':
		return "a part begins or ends with a hyphen"
	}
	for _, r := range part {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fmt.Sprintf("%q cannot stand in a domain", r)
		}
	}
	return ""
}

// Unicode returns the domain as people of its script read it, or the domain
// itself when there is no other form.
func Unicode(domain string) string {
	if u, err := idna.Display.ToUnicode(domain); err == nil {
		return u
	}
	return domain
}

// checkLabel returns an error unless name can name a label.
func checkLabel(name string) error {
	wrong := name == "" || len(name) > maxLabel || strings.Contains(name, "--") ||
		strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-")
	for _, r := range name {
		wrong = wrong || (r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z'))
	}
	if wrong {
		return fmt.Errorf("%w: %q", ErrLabel, shorten(name))
	}
	return nil
}

// shorten keeps what a message repeats of its input small.
func shorten(text string) string {
	if r := []rune(text); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return text
}
