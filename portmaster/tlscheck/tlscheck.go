package tlscheck

import (
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// A Kind is what a connection's first bytes turned out to be.
type Kind string

// The kinds. The zero value means that the client has not sent enough to say.
const (
	Unknown   Kind = ""
	TLS       Kind = "tls"
	Plaintext Kind = "plaintext" // anything that does not begin with a ClientHello
)

// A Hello is what the first bytes say.
type Hello struct {
	Kind       Kind
	ServerName string // lower case, without a final dot; empty when the client named none
}

// MaxHello is the number of bytes looked at. A ClientHello with post-quantum
// key shares and a session ticket stays below 4 KiB; one that is larger than
// this is reported as TLS without a name.
const MaxHello = 16 << 10

const (
	recordHandshake   = 22      // RFC 8446, section 5.1
	recordHeader      = 5       // type, legacy version, length
	recordLimit       = 1 << 14 // largest plaintext record
	handshakeHello    = 1       // RFC 8446, section 4
	handshakeHeader   = 4       // type, length
	extensionName     = 0       // RFC 6066, section 3
	nameTypeHost      = 0
	longestServerName = 253 // RFC 1035, section 2.3.4, in text form
)

// Parse says what b begins with. It is not final while more bytes could
// change the answer.
func Parse(b []byte) (h Hello, final bool) {
	message, state := handshake(b)
	switch state {
	case foreign:
		return Hello{Kind: Plaintext}, true
	case incomplete:
		if len(b) >= MaxHello {
			return Hello{Kind: TLS}, true
		}
		return Hello{}, false
	}
	name, ok := serverName(message)
	if !ok {
		return Hello{Kind: Plaintext}, true
	}
	return Hello{Kind: TLS, ServerName: name}, true
}

type framing int

const (
	complete   framing = iota
	incomplete         // a ClientHello so far
	foreign            // not a ClientHello
)

// handshake takes the body of the first handshake message out of its records,
// over which a client may spread it.
func handshake(b []byte) ([]byte, framing) {
	var message []byte
	for {
		if !plausibleHeader(b) {
			return nil, foreign
		}
		if len(b) < recordHeader {
			return nil, incomplete
		}
		size := int(b[3])<<8 | int(b[4])
		if size == 0 || size > recordLimit {
			return nil, foreign
		}
		b = b[recordHeader:]
		cut := min(size, len(b))
		message = append(message, b[:cut]...)
		if len(message) > 0 && message[0] != handshakeHello {
			return nil, foreign
		}
		if len(message) >= handshakeHeader {
			want := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
			if body := message[handshakeHeader:]; len(body) >= want {
				return body[:want], complete
			}
		}
		if cut < size {
			return nil, incomplete
		}
		b = b[size:]
	}
}

// plausibleHeader says whether as much of a record header as is there could
// belong to a handshake record of SSL 3 to TLS 1.3.
func plausibleHeader(b []byte) bool {
	return (len(b) < 1 || b[0] == recordHandshake) &&
		(len(b) < 2 || b[1] == 3) &&
		(len(b) < 3 || b[2] <= 4)
}

// serverName reads a ClientHello (RFC 8446, section 4.1.2). It is not ok when
// the message is malformed.
func serverName(message []byte) (name string, ok bool) {
	s := cryptobyte.String(message)
	var session, suites, methods, extensions cryptobyte.String
	if !s.Skip(2+32) || // legacy version, random
		!s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&suites) ||
		!s.ReadUint8LengthPrefixed(&methods) {
		return "", false
	}
	if s.Empty() { // before TLS 1.2 a hello may end here
		return "", true
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return "", false
	}
	for !extensions.Empty() {
		var kind uint16
		var body cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&body) {
			return "", false
		}
		if kind == extensionName {
			return hostName(body)
		}
	}
	return "", true
}

// hostName reads the server_name extension (RFC 6066, section 3).
func hostName(body cryptobyte.String) (string, bool) {
	var names cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&names) {
		return "", false
	}
	for !names.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !names.ReadUint8(&kind) || !names.ReadUint16LengthPrefixed(&name) {
			return "", false
		}
		if kind == nameTypeHost {
			return cleanName(string(name)), true
		}
	}
	return "", true
}

// cleanName drops what is no host name: it is shown to people.
func cleanName(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > longestServerName {
		return ""
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return ""
		}
	}
	return name
}

// A Sniffer is fed the bytes that a client sends, as they pass by. The zero
// value is ready.
type Sniffer struct {
	seen  []byte
	hello Hello
	final bool
}

// Observe takes the next bytes. It returns true once, when the kind becomes
// known; after that the Sniffer keeps nothing. It does not keep b.
func (s *Sniffer) Observe(b []byte) bool {
	if s.final || len(b) == 0 {
		return false
	}
	room := MaxHello - len(s.seen)
	s.seen = append(s.seen, b[:min(room, len(b))]...)
	s.hello, s.final = Parse(s.seen)
	if s.final {
		s.seen = nil
	}
	return s.final
}

// Hello is what is known so far.
func (s *Sniffer) Hello() Hello { return s.hello }
