package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

// A Level says what a step has come to.
type Level string

// Levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // clients believe the map, and people should know
	Refused Level = "refused"
)

// A Step is one thing that was checked.
type Step struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// A Report is what was found about a signed map.
type Report struct {
	Steps []Step
	// Map is what was read, with the nodes that clients use; nil if that was not
	// possible. It may be one that clients refuse, because it is out of date.
	Map        *netmap.Map
	Header     netmap.Header
	Checkpoint netmap.Checkpoint // of the log whose newest leaf is the map
	// Err is why it is not to be believed; nil if it is.
	Err error

	network *netmap.Network
	head    netmap.Head
}

// Check examines a signed map as of a time. It stops at the first reason to
// refuse it, unless that is the time.
func Check(n *netmap.Network, signed []byte, at time.Time) *Report {
	r := &Report{network: n}
	for _, step := range []func(){
		func() { r.checkForm(signed) },
		r.checkSignatures,
		r.checkWitnesses,
		r.checkProof,
		func() { r.checkBody(signed) },
	} {
		if step(); r.Err != nil {
			return r
		}
	}
	r.checkTime(at)
	r.checkStatements(at)
	if _, err := n.Verify(signed, at); r.Err == nil && err != nil {
		r.refuse("map", err)
	}
	return r
}

func (r *Report) ok(check, format string, args ...any) {
	r.Steps = append(r.Steps, Step{Check: check, Level: OK, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) warn(check, format string, args ...any) {
	r.Steps = append(r.Steps, Step{Check: check, Level: Warning, Text: fmt.Sprintf(format, args...)})
}

// refuse remembers the first error.
func (r *Report) refuse(check string, err error) {
	r.Steps = append(r.Steps, Step{Check: check, Level: Refused, Text: err.Error()})
	if r.Err == nil {
		r.Err = err
	}
}

func (r *Report) checkForm(signed []byte) {
	b, body, err := netmap.SplitMap(signed)
	if err == nil {
		r.head, err = netmap.ParseHead(b)
	}
	if err == nil {
		r.Header, err = netmap.ParseHeader(r.head.Header)
	}
	if err == nil && r.Header.Network != r.network.Name {
		err = fmt.Errorf("%w: it is of the network %q, not %q", netmap.ErrMap, r.Header.Network, r.network.Name)
	}
	if err != nil {
		r.refuse("form", err)
		return
	}
	r.ok("form", "map %d of %s: a head of %d bytes, a body of %d", r.Header.Sequence, r.Header.Network, len(b), len(body))
}

// urls returns who of them is a witness, or is none.
func urls(all []netmap.Signatory, witnesses bool) (found []string) {
	for _, s := range all {
		if s.Witness != witnesses {
			continue
		}
		text := s.URL
		if witnesses {
			text += " at " + s.At.Format(time.RFC3339)
		}
		found = append(found, text)
	}
	return found
}

func (r *Report) checkSignatures() {
	all, err := r.network.Signatories(r.head.Checkpoint)
	if err == nil {
		r.Checkpoint, err = r.network.OpenCheckpoint(r.head.Checkpoint)
	}
	if errors.Is(err, netmap.ErrCheckpoint) {
		err = fmt.Errorf("%w: %w", netmap.ErrMap, err)
	}
	if err != nil {
		r.refuse("signatures", err)
		return
	}
	by := urls(all, false)
	r.ok("signatures", "%d of %d authorities have signed, %d have to: %s", len(by), len(r.network.Authorities), r.network.Threshold, strings.Join(by, ", "))
}

func (r *Report) checkWitnesses() {
	n := r.network
	all, err := n.Signatories(r.head.Checkpoint)
	if err == nil {
		_, err = n.OpenWitnessed(r.head.Checkpoint)
	}
	if err != nil {
		r.refuse("witnesses", err)
		return
	}
	if len(n.Witnesses) == 0 {
		r.ok("witnesses", "the network has none")
		return
	}
	by := urls(all, true)
	if len(by) == 0 {
		by = []string{"none"}
	}
	r.ok("witnesses", "%d of %d have cosigned, %d have to: %s", len(urls(all, true)), len(n.Witnesses), n.WitnessThreshold, strings.Join(by, ", "))
}

func (r *Report) checkProof() {
	h, c := r.head, r.Checkpoint
	var err error
	switch {
	case h.Index < 1 || uint64(h.Index) != r.Header.Sequence || c.Size != h.Index+1:
		err = fmt.Errorf("%w: map %d is not the newest of the log, which has %d", netmap.ErrMap, r.Header.Sequence, c.Size)
	default:
		if failed := tlog.CheckRecord(h.Hashes, c.Size, c.Root, h.Index, tlog.RecordHash([]byte(h.Header))); failed != nil {
			err = fmt.Errorf("%w: it is not in the log that was signed: %w", netmap.ErrMap, failed)
		}
	}
	if err != nil {
		r.refuse("log", err)
		return
	}
	r.ok("log", "leaf %d, the newest of %d, as %d hashes prove; root %s", h.Index, c.Size, len(h.Hashes), c.Root)
}

// checkBody reads the map whenever it is valid.
func (r *Report) checkBody(signed []byte) {
	m, err := r.network.Verify(signed, r.Header.ValidAfter)
	if err != nil {
		r.refuse("body", err)
		return
	}
	r.Map = m
	links := 0
	for i := range m.Nodes {
		links += len(m.Edges(i))
	}
	r.ok("body", "its hash is the one in the log: %d nodes, %d links, %d shards of keys", len(m.Nodes), links/2, len(m.Shards()))
}

func (r *Report) checkTime(at time.Time) {
	h, now := r.Header, at.UTC().Format(time.RFC3339)
	from, until := h.ValidAfter.Format(time.RFC3339), h.ValidUntil.Format(time.RFC3339)
	switch {
	case at.Before(h.ValidAfter):
		r.refuse("time", fmt.Errorf("%w: it is valid from %s and now is %s", netmap.ErrNotYet, from, now))
	case !at.Before(h.ValidUntil):
		r.refuse("time", fmt.Errorf("%w: it was valid until %s and now is %s", netmap.ErrExpired, until, now))
	default:
		r.ok("time", "valid from %s until %s, and now is %s", from, until, now)
	}
}

// checkStatements counts what operators say. A client believes the map whatever
// they say.
func (r *Report) checkStatements(at time.Time) {
	canaries := make(map[int]netmap.Canary)
	moderation, unreadable := 0, 0
	for _, n := range r.Map.Notices {
		s, err := r.network.OpenStatement(n.Signed)
		switch {
		case err != nil:
			unreadable++
		case s.Canary != nil:
			canaries[s.Authority] = *s.Canary
		default:
			moderation++
		}
	}
	if unreadable > 0 {
		r.warn("statements", "%d can't be read: they are not signed by an authority of the network's file", unreadable)
	}
	r.ok("statements", "%d about nodes, each signed by its authority", moderation)
	for i, a := range r.network.Authorities {
		c, said := canaries[i]
		switch {
		case !said:
			r.ok("canary", "%s has said nothing", a.URL)
		case !c.Good:
			r.warn("canary", "%s has withdrawn its canary on %s", a.URL, c.Date.Format(time.DateOnly))
		case !c.Alive(at):
			r.warn("canary", "%s has said nothing since its canary ended on %s", a.URL, c.Until.Format(time.DateOnly))
		default:
			r.ok("canary", "%s: all is well, until %s", a.URL, c.Until.Format(time.DateOnly))
		}
	}
}
