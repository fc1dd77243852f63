package feed

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Bounds of a list.
const (
	SizeLimit    = 64 << 20  // bytes
	EntriesLimit = 2_000_000 // domains
	lineLimit    = 4096      // bytes
)

// ParseHosts reads a list. Lines that are not understood are counted and
// passed over, unless they are the majority: then the text is something else.
func ParseHosts(name string, r io.Reader) (*Feed, error) {
	f := &Feed{Name: name, seed: maphash.MakeSeed()}
	p := parser{feed: f}
	limited := &io.LimitedReader{R: r, N: SizeLimit + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, lineLimit), lineLimit)
	number := 0
	for lines.Scan() {
		number++
		if err := p.line(number, lines.Text()); err != nil {
			return nil, fmt.Errorf("list %s: line %d: %w", name, number, err)
		}
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("list %s: larger than %d MiB", name, SizeLimit>>20)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("list %s: line %d has more than %d characters", name, number+1, lineLimit)
	} else if err != nil {
		return nil, fmt.Errorf("read list %s: %w", name, err)
	}
	if f.Skipped > p.good {
		return nil, fmt.Errorf("list %s: line %d is not in the hosts format (%q), like most of its lines: is the address right?", name, p.firstBad, "0.0.0.0 ads.example")
	}
	f.fill(p.marks)
	return f, nil
}

type parser struct {
	feed     *Feed
	marks    []mark
	good     int // lines with a domain or an address that is kept out
	firstBad int
}

// line takes one line without its end.
func (p *parser) line(number int, text string) error {
	text, _, _ = strings.Cut(text, "#")
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil
	}
	names := fields
	if addr, err := netip.ParseAddr(fields[0]); err == nil {
		names = fields[1:]
		if !addr.IsUnspecified() && !addr.IsLoopback() {
			p.good++ // an address book entry, or a broadcast: it blocks nothing
			return nil
		}
	}
	for _, name := range names {
		domain, ok := normal(name)
		if !ok {
			if p.feed.Skipped++; p.firstBad == 0 {
				p.firstBad = number
			}
			return nil
		}
		if ownName(domain) {
			continue
		}
		if len(p.marks) == EntriesLimit {
			return fmt.Errorf("more than %d domains", EntriesLimit)
		}
		p.marks = append(p.marks, mark{maphash.String(p.feed.seed, domain), uint32(number)})
	}
	p.good++
	return nil
}

// ownName says whether a hosts file names the machine itself so.
func ownName(domain string) bool {
	switch domain {
	case "localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0":
		return true
	}
	return strings.HasPrefix(domain, "ip6-") && !strings.Contains(domain, ".")
}

const (
	domainLimit = 253 // RFC 1035 section 2.3.4, without the final dot
	labelLimit  = 63
)

// normal returns a domain in lower case and A-labels, without final dot.
func normal(name string) (domain string, ok bool) {
	domain = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.ContainsFunc(domain, func(c rune) bool { return c >= 0x80 }) {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", false
		}
	}
	if len(domain) > domainLimit {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > labelLimit || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	return domain, true
}

// WriteHosts writes domains in the hosts format, one line each, below the
// header as comments. Domains are written as they are: they have to be in
// lower case and A-labels. One that would break the format is an error.
func WriteHosts(w io.Writer, header string, domains []string) error {
	b := bufio.NewWriter(w)
	for line := range strings.Lines(header) {
		b.WriteString("# " + strings.TrimRight(line, "\r\n") + "\n") //nolint:errcheck // Flush returns it
	}
	for _, domain := range domains {
		if d, ok := normal(domain); !ok || d != domain {
			return fmt.Errorf("write a list: %q is not a domain in its usual form", domain)
		}
		b.WriteString("0.0.0.0 " + domain + "\n") //nolint:errcheck // Flush returns it
	}
	return b.Flush()
}
