package profile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Kind says what sort of thing a rule is about.
type Kind uint8

// The kinds.
const (
	Any     Kind = iota // *
	Exact               // example.com
	Suffix              // .example.com
	Prefix              // ads*
	Part                // *track*
	Network             // 192.0.2.0/24, or an address as a network of one
	InScope             // localhost, lan, internet
)

// A Rule says what happens to flows that match it.
type Rule struct {
	Action Action
	Text   string // as written, with single spaces

	Kind   Kind
	Domain string       // of Exact, Suffix, Prefix and Part: what is compared, without the dot or star around it
	Prefix netip.Prefix // of Network; masked, and never IPv4 written as IPv6
	Scope  Scope        // of InScope

	Protocol uint8       // 0: any
	Ports    []PortRange // in order, apart from each other; empty: any

	File string // where it was read, if in a file
	Line int    // from 1; 0: unknown
}

// A PortRange holds the ports from Low to High.
type PortRange struct{ Low, High uint16 }

// String is the rule's text.
func (r Rule) String() string { return r.Text }

const (
	ruleLimit = 512 // bytes of a rule
	// PortsLimit is how many separate ports or ranges a rule can name: the
	// kernel takes as many conditions for one destination.
	PortsLimit = 8
)

// ParseRule reads a rule such as "deny .example.com tcp/80,443". The error is
// a [*SyntaxError] without file and line whose column is the place in text.
func ParseRule(text string) (Rule, error) {
	if len(text) > ruleLimit {
		return Rule{}, ruleError(0, "a rule has at most %d characters", ruleLimit)
	}
	words := split(text)
	if len(words) == 0 {
		return Rule{}, ruleError(0, "the rule is empty: write an action and what it is about, such as %q", "deny .example.com")
	}
	r := Rule{Action: Action(words[0].text)}
	if !r.Action.Valid() {
		return Rule{}, ruleError(words[0].at, "%q is no action: a rule begins with permit, deny or tunnel", words[0].text)
	}
	if len(words) == 1 {
		return Rule{}, ruleError(len(text), "%s what? Write a domain, an address, a network, localhost, lan, internet or *", r.Action)
	}
	if err := r.parseTarget(words[1]); err != nil {
		return Rule{}, err
	}
	if len(words) > 2 {
		if err := r.parseProtocol(words[2]); err != nil {
			return Rule{}, err
		}
	}
	if len(words) > 3 {
		return Rule{}, ruleError(words[3].at, "%q is too much: a rule is an action, what it is about, and at most one protocol with ports; write a rule of its own for another", words[3].text)
	}
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	r.Text = strings.Join(texts, " ")
	return r, nil
}

// A word is a part of a rule and where it begins, in bytes from 0.
type word struct {
	text string
	at   int
}

func split(text string) []word {
	var words []word
	for at := 0; at < len(text); {
		if text[at] == ' ' || text[at] == '\t' {
			at++
			continue
		}
		end := at + strings.IndexAny(text[at:]+" ", " \t")
		words = append(words, word{text[at:end], at})
		at = end
	}
	return words
}

func ruleError(at int, format string, args ...any) error {
	return &SyntaxError{Column: at + 1, Msg: fmt.Sprintf(format, args...)}
}

// parseTarget reads what the rule is about.
func (r *Rule) parseTarget(w word) error {
	switch {
	case w.text == "*":
		r.Kind = Any
		return nil
	case w.text == string(Localhost), w.text == string(LAN), w.text == string(Internet):
		r.Kind, r.Scope = InScope, Scope(w.text)
		return nil
	case strings.ContainsAny(w.text, "/:") || isNumber(w.text[strings.LastIndexByte(w.text, '.')+1:]):
		return r.parseNetwork(w)
	default:
		return r.parseDomain(w)
	}
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (r *Rule) parseNetwork(w word) error {
	if strings.Contains(w.text, "://") {
		return ruleError(w.at, "%q is a web address: write the domain alone, and the protocol after it, such as %q", w.text, "example.com tcp/443")
	}
	r.Kind = Network
	if a, err := netip.ParseAddr(w.text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		r.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(w.text)
	if err != nil {
		return ruleError(w.at, "%q is neither an address nor a network: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32; ports stand after tcp/ or udp/", w.text)
	}
	if p.Addr().Is4In6() {
		return ruleError(w.at, "%q is IPv4 written as IPv6: write the IPv4 network", w.text)
	}
	if p != p.Masked() {
		return ruleError(w.at, "%q has address bits behind the network's: write %s, or %s for the one address", w.text, p.Masked(), p.Addr())
	}
	r.Prefix = p
	return nil
}

// parseProtocol reads tcp, udp, tcp/443 or udp/53,5000-5100.
func (r *Rule) parseProtocol(w word) error {
	name, ports, some := strings.Cut(w.text, "/")
	switch name {
	case "tcp":
		r.Protocol = TCP
	case "udp":
		r.Protocol = UDP
	default:
		return ruleError(w.at, "%q is no protocol: write tcp or udp, with ports if wanted: tcp/443, udp/5000-5100, tcp/80,443", w.text)
	}
	if !some {
		return nil
	}
	at := w.at + len(name) + 1
	for part := range strings.SplitSeq(ports, ",") {
		p, err := parsePorts(part)
		if err != nil {
			return ruleError(at, "%v", err)
		}
		r.Ports = append(r.Ports, p)
		at += len(part) + 1
	}
	r.Ports = joinPorts(r.Ports)
	if len(r.Ports) > PortsLimit {
		return ruleError(w.at+len(name)+1, "%d separate ports or ranges: a rule takes at most %d; write a range", len(r.Ports), PortsLimit)
	}
	return nil
}

func parsePorts(part string) (PortRange, error) {
	low, high, isRange := strings.Cut(part, "-")
	if !isRange {
		high = low
	}
	l, err := parsePort(low)
	if err != nil {
		return PortRange{}, err
	}
	h, err := parsePort(high)
	if err != nil {
		return PortRange{}, err
	}
	if l > h {
		return PortRange{}, fmt.Errorf("the range %s ends before it begins: write %s-%s", part, high, low)
	}
	return PortRange{l, h}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port: write a number from 1 to 65535, a range such as 5000-5100, or several with commas and without spaces", s)
	}
	return uint16(n), nil
}

// joinPorts puts ranges in order and joins those that touch.
func joinPorts(ports []PortRange) []PortRange {
	slices.SortFunc(ports, func(a, b PortRange) int { return int(a.Low) - int(b.Low) })
	out := ports[:1]
	for _, p := range ports[1:] {
		last := &out[len(out)-1]
		if uint32(p.Low) <= uint32(last.High)+1 {
			last.High = max(last.High, p.High)
		} else {
			out = append(out, p)
		}
	}
	return out
}
