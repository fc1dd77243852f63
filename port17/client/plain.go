package client

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"safing/port17/cell"
)

// ErrExposed means that a connection was not encrypted, and had an exit that may
// not read it. The next one to the destination has another.
var ErrExposed = errors.New("what was sent is not encrypted, and the exit is not a trusted one: connect again")

// plain remembers destinations to which something was sent that was not
// encrypted, besides ports where that is the rule.
type plain struct {
	mu   sync.Mutex
	seen map[cell.Target]bool
}

// mostPlain is how many destinations are remembered.
const mostPlain = 10000

func (p *plain) add(t cell.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= mostPlain {
		p.seen = make(map[cell.Target]bool)
	}
	p.seen[t] = true
}

// expects says whether what will be sent there is probably not encrypted.
func (p *plain) expects(t cell.Target) bool {
	if unencrypted(t.Port) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[t]
}

// unencrypted says whether what is sent to the port can be read by whoever sees
// it, as a rule. Some of these protocols begin in the clear and may then encrypt
// (STARTTLS): who is in between can keep them from that.
func unencrypted(port uint16) bool {
	switch port {
	case 20, 21, // FTP
		23,           // telnet
		25, 110, 143, // mail
		43, 70, 79, // whois, gopher, finger
		53,                         // DNS
		80, 8000, 8008, 8080, 8088, // web
		119,                                                             // news
		194, 6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, // IRC
		389,           // LDAP
		512, 513, 514, // rexec, rlogin, rsh and syslog
		554, // RTSP
		873: // rsync
		return true
	}
	return false
}

// beginnings are those of what clients send in the clear: HTTP, RTSP, mail, FTP
// and IRC.
var beginnings = [...]string{
	"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "PROPFIND ", "CONNECT ", "PRI * HTTP/2",
	"DESCRIBE ", "EHLO ", "HELO ", "LHLO ", "USER ", "PASS ", "NICK ", "CAP LS",
}

// isPlain says whether the first bytes of a connection are of a protocol that
// does not encrypt.
func isPlain(first []byte) bool {
	for _, b := range beginnings {
		if bytes.HasPrefix(first, []byte(b)) {
			return true
		}
	}
	return false
}

// mayCarry says whether the circuit's exit may read what is sent there.
func (s *shared) mayCarry(plain bool) bool {
	if !plain {
		return true
	}
	f, _ := s.client.current()
	return f == nil || f.MayCarryPlain(s.exit())
}

// leaveExposed takes another circuit, if the first bytes are not encrypted and
// the exit is not to see such. Nothing was sent yet.
func (c *Conn) leaveExposed(first []byte) error {
	s := c.on.Load()
	if !isPlain(first) || s.mayCarry(true) {
		return nil
	}
	s.client.plain.add(c.need.target)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	n := c.need
	n.request.Unencrypted = true
	other, err := s.client.shared(ctx, n)
	if err != nil {
		return err
	}
	c.on.Store(other)
	s.unuse()
	return nil
}

// refuseExposed ends the connection if it is too late for another circuit, as
// its exit has already connected.
func (c *Conn) refuseExposed(first []byte) error {
	if c.looked.Load() || c.looked.Swap(true) || !isPlain(first) {
		return nil
	}
	s := c.on.Load()
	if s.mayCarry(true) {
		return nil
	}
	s.client.plain.add(c.need.target)
	c.Reset()
	return ErrExposed
}
