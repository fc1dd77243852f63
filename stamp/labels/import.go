package labels

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

const (
	maxImport = 64 << 20 // bytes of one list
	maxLine   = 4096     // bytes of one line
)

// A List is what a text in the hosts format, or with a domain per line, names.
type List struct {
	Domains []string // in their one form, as they come; may repeat
	Skipped int      // names that are not domains
	First   error    // why the first of these was skipped, with its line
}

// ParseList reads a list: lines of an address and host names, or of a domain
// each; # and ! begin comments. Names that are no domains (localhost, which
// each hosts file has, or mistakes) are skipped and counted. It fails when
// the text cannot be read, is larger than 64 MiB, has a line longer than
// 4096 bytes, or more domains than a store holds.
func ParseList(r io.Reader) (*List, error) {
	limited := &io.LimitedReader{R: r, N: maxImport + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	list := &List{}
	n := 0
	for lines.Scan() {
		n++
		for _, name := range names(lines.Text()) {
			domain, err := ParseDomain(name)
			if err != nil {
				list.skip(n, err)
				continue
			}
			if len(list.Domains) == MaxDomains {
				return nil, fmt.Errorf("line %d: %w", n, ErrFull)
			}
			list.Domains = append(list.Domains, domain)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d is longer than %d bytes: is this a list of domains?", n+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("after line %d: %w", n, err)
	case limited.N <= 0:
		return nil, fmt.Errorf("the list is larger than %d MiB; split it", maxImport>>20)
	}
	return list, nil
}

// names are the host names of a line.
func names(line string) []string {
	line = strings.TrimPrefix(line, "\ufeff") // as some editors begin a file
	if i := strings.IndexAny(line, "#!"); i >= 0 {
		line = line[:i]
	}
	fields := strings.Fields(line)
	if len(fields) > 1 {
		if _, err := netip.ParseAddr(fields[0]); err == nil {
			return fields[1:]
		}
	}
	return fields
}

func (l *List) skip(line int, err error) {
	if l.Skipped++; l.First == nil {
		l.First = fmt.Errorf("line %d: %w", line, err)
	}
}
