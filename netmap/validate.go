package netmap

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a descriptor.
const (
	maxText      = 64  // bytes of a name, owner, group or version
	maxContact   = 256 // bytes
	maxAppeal    = 256 // bytes
	maxAddresses = 8
	maxEntrances = 8
	maxRules     = 128
	maxDelay     = 10 * time.Second
	maxPadding   = 1000 // cells a second
)

// maxItems is how long a list in a descriptor or in keys may be.
const maxItems = 1024

// MaxLinks is how many links a descriptor has at most.
const MaxLinks = 256

// Validate checks every bound of docs/spec/netmap.md#descriptor. The error
// wraps [ErrDescriptor].
func (d *Descriptor) Validate() error {
	if err := d.validate(); err != nil {
		return err
	}
	return d.validateOwner()
}

// validate is Validate without the proof of the owner's key, which maps leave
// out.
func (d *Descriptor) validate() error {
	if d.ID.IsZero() {
		return fmt.Errorf("%w: it has no identity", ErrDescriptor)
	}
	for _, f := range []struct {
		what, text string
		least, max int
	}{
		{"name", d.Name, 1, maxText},
		{"owner", d.Owner, 1, maxText},
		{"group", d.Group, 0, maxText},
		{"version", d.Version, 0, maxText},
		{"contact", d.Contact, 0, maxContact},
		{"appeal", d.Appeal, 0, maxAppeal},
	} {
		if err := checkText(f.what, f.text, f.least, f.max); err != nil {
			return err
		}
	}
	if err := checkCountry(d.Country); err != nil {
		return err
	}
	for _, f := range []struct {
		what        string
		n, most     int
		atLeastOnce bool
	}{
		{"addresses", len(d.Addresses), maxAddresses, true},
		{"entrances", len(d.Entrances), maxEntrances, false},
		{"links", len(d.Links), MaxLinks, false},
		{"exit rules", len(d.Exit.rules), maxRules, false},
	} {
		if f.n > f.most || f.atLeastOnce && f.n == 0 {
			return fmt.Errorf("%w: it has %d %s, at most %d are allowed", ErrDescriptor, f.n, f.what, f.most)
		}
	}
	for _, a := range d.Addresses {
		if !connectable(a) {
			return fmt.Errorf("%w: nobody can connect to its address %s", ErrDescriptor, a)
		}
	}
	if err := d.validateEntrances(); err != nil {
		return err
	}
	if d.MaxDelay < 0 || d.MaxDelay > maxDelay || d.MaxDelay%time.Millisecond != 0 {
		return fmt.Errorf("%w: it offers delays of %s, want milliseconds up to %s", ErrDescriptor, d.MaxDelay, maxDelay)
	}
	if d.Load < 0 || d.Load > 100 || d.Load%10 != 0 {
		return fmt.Errorf("%w: its load is %d percent, want steps of 10 up to 100", ErrDescriptor, d.Load)
	}
	if d.MaxPadding < 0 || d.MaxPadding > maxPadding {
		return fmt.Errorf("%w: it offers padding of %d cells a second, at most %d are allowed", ErrDescriptor, d.MaxPadding, maxPadding)
	}
	return d.validateLinks()
}

// CheckPublic refuses addresses that don't lead to the public Internet. Every
// client and node connects to what a descriptor names, from inside the network
// that it is in. The error wraps [ErrDescriptor].
func (d *Descriptor) CheckPublic() error {
	for _, a := range d.IPs() {
		if specialRange(a).IsValid() {
			return fmt.Errorf("%w: its address %s is not a public one", ErrDescriptor, a)
		}
	}
	return nil
}

func (d *Descriptor) validateLinks() error {
	seen := make(map[NodeID]bool, len(d.Links))
	for _, l := range d.Links {
		if l.To == d.ID || l.To.IsZero() || seen[l.To] {
			return fmt.Errorf("%w: it has a link to itself, to nobody, or two to the same node", ErrDescriptor)
		}
		if l.RTT < 0 {
			return fmt.Errorf("%w: it has a link with a negative round trip", ErrDescriptor)
		}
		if err := l.Crossed.validate(maxCrossed); err != nil {
			return err
		}
		seen[l.To] = true
	}
	return nil
}

// CheckAppeal says whether a descriptor can have the text as its Appeal. The
// error wraps [ErrDescriptor].
func CheckAppeal(text string) error { return checkText("appeal", text, 0, maxAppeal) }

func checkText(what, text string, least, most int) error {
	if len(text) < least || len(text) > most || !utf8.ValidString(text) {
		return fmt.Errorf("%w: its %s has %d bytes, want %d to %d of UTF-8", ErrDescriptor, what, len(text), least, most)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: its %s has a character that can't be shown", ErrDescriptor, what)
		}
	}
	return nil
}

func checkCountry(c string) error {
	if c == "" || len(c) == 2 && isUpper(c[0]) && isUpper(c[1]) {
		return nil
	}
	return fmt.Errorf("%w: country %q is not two upper-case letters such as DE", ErrDescriptor, c)
}

func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }
