package netmap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Bounds of a statement.
const (
	// MaxStatement is the greatest length of a signed statement, in bytes.
	MaxStatement  = 8 << 10
	maxCanaryText = 4 << 10
	maxReason     = 256
)

// ErrStatement means that a statement is malformed or not signed by one of the
// network's authorities.
var ErrStatement = errors.New("statement is invalid")

// A Statement is what the operator of one authority says, by hand.
type Statement struct {
	Signed    []byte
	Authority int       // its index in the Network's Authorities
	Date      time.Time // to the second
	// One of these is there.
	Canary     *Canary
	Moderation *Moderation
}

// A Canary says that nobody has made an authority do what it does not want to,
// or no longer does.
type Canary struct {
	Network string
	Date    time.Time // to the second
	Until   time.Time // when the next one is due, to the second
	Good    bool      // or withdrawn
	Text    string    // for people; may be empty
}

// A Moderation says what an authority thinks of a node.
type Moderation struct {
	Network string
	Node    NodeID
	Action  Action
	Date    time.Time // to the second
	Reason  string    // for people
}

// An Action is what a Moderation asks for.
type Action uint8

// Actions. Restore undoes Suspend, and Distrust undoes Trust.
const (
	Suspend Action = iota + 1
	Restore
	Trust
	Distrust
)

// String returns suspend, restore, trust or distrust.
func (a Action) String() string {
	switch a {
	case Suspend:
		return "suspend"
	case Restore:
		return "restore"
	case Trust:
		return "trust"
	case Distrust:
		return "distrust"
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// ParseAction reads an action's name.
func ParseAction(text string) (Action, error) {
	for a := Suspend; a <= Distrust; a++ {
		if a.String() == text {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown action %q: use suspend, restore, trust or distrust", text)
}

// Sign returns the canary as a note that the authority's key has signed. The
// error wraps [ErrStatement].
func (c *Canary) Sign(signer note.Signer) ([]byte, error) {
	return signStatement(c.String(), signer)
}

// String returns the text that is signed.
func (c *Canary) String() string {
	state := "withdrawn"
	if c.Good {
		state = "good"
	}
	return fmt.Sprintf("port17 canary v1\nnetwork %s\ndate %s\nuntil %s\nstate %s\n\n%s",
		c.Network, stamp(c.Date), stamp(c.Until), state, c.Text)
}

// Sign returns the moderation as a note that the authority's key has signed. The
// error wraps [ErrStatement].
func (m *Moderation) Sign(signer note.Signer) ([]byte, error) {
	return signStatement(m.String(), signer)
}

// String returns the text that is signed.
func (m *Moderation) String() string {
	return fmt.Sprintf("port17 moderation v1\nnetwork %s\nnode %s\naction %s\ndate %s\nreason %s\n",
		m.Network, m.Node, m.Action, stamp(m.Date), m.Reason)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func signStatement(text string, signer note.Signer) ([]byte, error) {
	if _, err := parseStatement(text); err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	return signed, nil
}

// OpenStatement reads what one of the network's authorities has signed. The
// error wraps [ErrStatement].
func (n *Network) OpenStatement(signed []byte) (Statement, error) {
	if len(signed) > MaxStatement {
		return Statement{}, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrStatement, len(signed), MaxStatement)
	}
	for i, a := range n.Authorities {
		v, err := note.NewVerifier(a.Key)
		if err != nil {
			return Statement{}, fmt.Errorf("authority key %q: %w", a.Key, err)
		}
		opened, err := note.Open(signed, note.VerifierList(v))
		if err != nil {
			continue
		}
		// It has one form: one signature and nothing else.
		only := fmt.Sprintf("%s\n— %s %s\n", opened.Text, opened.Sigs[0].Name, opened.Sigs[0].Base64)
		if _, err := base64.StdEncoding.Strict().DecodeString(opened.Sigs[0].Base64); err != nil || only != string(signed) {
			return Statement{}, fmt.Errorf("%w: it has more than one signature, or one in another form", ErrStatement)
		}
		s, err := parseStatement(opened.Text)
		if err != nil {
			return Statement{}, err
		}
		if s.network() != n.Name {
			return Statement{}, fmt.Errorf("%w: it is of the network %q, not %q", ErrStatement, s.network(), n.Name)
		}
		s.Signed, s.Authority = signed, i
		return s, nil
	}
	return Statement{}, fmt.Errorf("%w: none of the network's authorities has signed it", ErrStatement)
}

func (s *Statement) network() string {
	if s.Canary != nil {
		return s.Canary.Network
	}
	return s.Moderation.Network
}

// parseStatement reads a text and makes sure that it is the one that its values
// make.
func parseStatement(text string) (s Statement, err error) {
	kind, rest, _ := strings.Cut(text, "\n")
	fields := &lines{rest: rest}
	var again string
	switch kind {
	case "port17 canary v1":
		s.Canary = parseCanary(fields)
		s.Date, again = s.Canary.Date, s.Canary.String()
	case "port17 moderation v1":
		s.Moderation = parseModeration(fields)
		s.Date, again = s.Moderation.Date, s.Moderation.String()
	default:
		return Statement{}, fmt.Errorf("%w: it begins with %q", ErrStatement, kind)
	}
	if fields.err == nil && again != text {
		fields.err = errors.New("it is not in the form that its values make")
	}
	if fields.err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrStatement, fields.err)
	}
	return s, nil
}

func parseCanary(l *lines) *Canary {
	c := &Canary{Network: l.text("network", 1, maxText), Date: l.time("date"), Until: l.time("until")}
	switch state := l.text("state", 1, maxText); state {
	case "good":
		c.Good = true
	case "withdrawn":
	default:
		l.fail("its state %q is neither good nor withdrawn", state)
	}
	if !c.Until.After(c.Date) {
		l.fail("it ends before it begins")
	}
	empty, rest, _ := strings.Cut(l.rest, "\n")
	c.Text = rest
	for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n") {
		if !printable(line) {
			l.fail("its text has a character that can't be shown")
		}
	}
	if empty != "" || len(rest) > maxCanaryText || rest != "" && !strings.HasSuffix(rest, "\n") {
		l.fail("its text has %d bytes, want %d at most after an empty line, and an end of line behind it", len(rest), maxCanaryText)
	}
	return c
}

func parseModeration(l *lines) *Moderation {
	m := &Moderation{Network: l.text("network", 1, maxText)}
	node, action := l.text("node", 1, maxText), l.text("action", 1, maxText)
	m.Date, m.Reason = l.time("date"), l.text("reason", 1, maxReason)
	var err error
	if m.Node, err = ParseNodeID(node); err != nil {
		l.fail("%w", err)
	}
	if m.Action, err = ParseAction(action); err != nil {
		l.fail("%w", err)
	}
	return m
}

// lines are read one after the other, until one is not as it should be.
type lines struct {
	rest string
	err  error
}

func (l *lines) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func (l *lines) text(key string, least, most int) string {
	line, rest, ended := strings.Cut(l.rest, "\n")
	value, ok := strings.CutPrefix(line, key+" ")
	if !ok || !ended || len(value) < least || len(value) > most || !printable(value) {
		l.fail("its line %q has not %d to %d bytes that can be shown", key, least, most)
	}
	l.rest = rest
	return value
}

func (l *lines) time(key string) time.Time {
	text := l.text(key, 1, maxText)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		l.fail("%w", err)
	}
	return t.UTC()
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
