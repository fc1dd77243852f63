package profile

import (
	"strings"

	"golang.org/x/net/idna"
)

const (
	domainLimit = 253 // RFC 1035 section 2.3.4, without the final dot
	labelLimit  = 63
)

// parseDomain reads a domain or a pattern of domains.
func (r *Rule) parseDomain(w word) error {
	text := w.text
	switch stars := strings.Count(text, "*"); {
	case stars == 0 && text[0] == '.':
		r.Kind, text = Suffix, text[1:]
	case stars == 0:
		r.Kind = Exact
		if !strings.Contains(text, ".") {
			return ruleError(w.at, "%q is no domain, address, localhost, lan, internet or *; a name without a dot is written %q, and one below which all is meant %q", text, text+".", "."+text)
		}
	case stars == 2 && len(text) > 2 && text[0] == '*' && text[len(text)-1] == '*':
		r.Kind, text = Part, text[1:len(text)-1]
	case stars == 1 && text[len(text)-1] == '*':
		r.Kind, text = Prefix, text[:len(text)-1]
	case strings.HasPrefix(text, "*.") && stars == 1:
		return ruleError(w.at, "%q is not understood: write %q for the domain and all below it", text, text[1:])
	default:
		return ruleError(w.at, "%q: a star stands at the end (ads*) or at both ends (*track*)", text)
	}
	if r.Kind == Exact || r.Kind == Suffix {
		name, ok := normalDomain(strings.TrimSuffix(text, "."))
		if !ok {
			return ruleError(w.at, "%q is no domain: it has letters, digits, - and _ between dots, at most 63 in a row", w.text)
		}
		r.Domain = name
		return nil
	}
	r.Domain = strings.ToLower(text)
	if len(text) > domainLimit || strings.Trim(r.Domain, domainBytes+".") != "" || strings.Contains(text, "..") {
		return ruleError(w.at, "%q can match no domain: beside stars it has letters, digits, -, _ and dots", w.text)
	}
	return nil
}

const domainBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// normalDomain returns the lower-case A-labels of a domain without final dot.
func normalDomain(text string) (name string, ok bool) {
	name = strings.ToLower(text)
	if !isASCII(text) {
		var err error
		if name, err = idna.Lookup.ToASCII(text); err != nil {
			return "", false
		}
	}
	if len(name) > domainLimit {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > labelLimit || strings.Trim(label, domainBytes) != "" {
			return "", false
		}
	}
	return name, true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
