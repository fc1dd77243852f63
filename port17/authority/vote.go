package authority

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/canonical"
	"safing/netmap"
)

// Bounds of a vote.
const (
	maxVote       = 16 << 20 // bytes of its body
	maxBallot     = 8 << 10  // bytes of its note, with the signatures of all
	maxNamed      = 2        // descriptors, or keys, that a vote names of one node
	maxStatements = 4096     // of all authorities, as many as a map has
	maxPolicy     = 16 << 10 // bytes, as tinker/policy has it
)

// errVote means that a vote is malformed.
var errVote = errors.New("vote is invalid")

// A digest is the SHA-256 of a signed descriptor or of signed keys.
type digest [sha256.Size]byte

func (d digest) isZero() bool { return d == digest{} }

// A vote is what an authority says of the network at the beginning of a period.
//
//	port17 vote v1
//	network NAME
//	author 1a2b3c4d, the hash of its key
//	period 2026-11-21T10:00:00Z
//	sha256 BASE64 of the body's hash
type vote struct {
	author     uint32
	period     time.Time
	opinions   []opinion // sorted by identity
	statements []string  // signed notes, of any authorities
	policy     string    // a note of tinker/policy; may be empty
}

// An opinion is what a vote says of one node.
type opinion struct {
	ID netmap.NodeID `cbor:"1,keyasint"`
	// Descriptors are the newest that was published in time and the one on the
	// last map: where a newer one has not reached enough of the authorities, they
	// still agree on the last.
	Descriptors []digest `cbor:"2,keyasint"`
	Keys        []digest `cbor:"3,keyasint,omitempty"` // likewise
	Reachable   bool     `cbor:"4,keyasint,omitempty"`
	BadExit     bool     `cbor:"5,keyasint,omitempty"`
	Capacity    uint64   `cbor:"6,keyasint,omitempty"` // measured, in bytes a second; 0 if it was not
}

type voteWire struct {
	Opinions   []opinion `cbor:"1,keyasint"`
	Statements []string  `cbor:"2,keyasint,omitempty"`
	Policy     string    `cbor:"3,keyasint,omitempty"`
}

// body returns the vote's content in its only form.
func (v *vote) body() ([]byte, error) {
	if err := v.validate(); err != nil {
		return nil, err
	}
	b, err := canonical.Encode(voteWire{Opinions: v.opinions, Statements: v.statements, Policy: v.policy})
	if err != nil {
		return nil, fmt.Errorf("encode vote: %w", err)
	}
	if len(b) > maxVote {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", errVote, len(b), maxVote)
	}
	return b, nil
}

// named returns the descriptors and keys that the vote names.
func (v *vote) named() (all []digest) {
	for i := range v.opinions {
		all = append(append(all, v.opinions[i].Descriptors...), v.opinions[i].Keys...)
	}
	return all
}

// parseVote reads the body that the header names.
func parseVote(h voteHeader, body []byte) (*vote, error) {
	if len(body) > maxVote {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", errVote, len(body), maxVote)
	}
	if digest(sha256.Sum256(body)) != h.body {
		return nil, fmt.Errorf("%w: its body is not the one that was signed", errVote)
	}
	var w voteWire
	if err := canonical.Decode(body, &w, maxNodes); err != nil {
		return nil, fmt.Errorf("%w: %w", errVote, err)
	}
	v := &vote{author: h.author, period: h.period, opinions: w.Opinions, statements: w.Statements, policy: w.Policy}
	return v, v.validate()
}

func (v *vote) validate() error {
	switch {
	case len(v.opinions) > maxNodes:
		return fmt.Errorf("%w: it names %d nodes, at most %d are allowed", errVote, len(v.opinions), maxNodes)
	case len(v.statements) > maxStatements:
		return fmt.Errorf("%w: it has %d statements", errVote, len(v.statements))
	case len(v.policy) > maxPolicy || !utf8.ValidString(v.policy):
		return fmt.Errorf("%w: its policy has %d bytes, at most %d of text are allowed", errVote, len(v.policy), maxPolicy)
	}
	for _, s := range v.statements {
		if len(s) > netmap.MaxStatement || !utf8.ValidString(s) {
			return fmt.Errorf("%w: a statement has %d bytes, at most %d of text are allowed", errVote, len(s), netmap.MaxStatement)
		}
	}
	for i, o := range v.opinions {
		if i > 0 && bytes.Compare(v.opinions[i-1].ID[:], o.ID[:]) >= 0 {
			return fmt.Errorf("%w: its nodes are not in order", errVote)
		}
		if err := o.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (o *opinion) validate() error {
	if len(o.Descriptors) == 0 || len(o.Descriptors) > maxNamed || len(o.Keys) > maxNamed {
		return fmt.Errorf("%w: it names %d descriptors and %d keys of node %s", errVote, len(o.Descriptors), len(o.Keys), o.ID.Short())
	}
	for _, named := range [][]digest{o.Descriptors, o.Keys} {
		if slices.ContainsFunc(named, digest.isZero) || len(named) == 2 && named[0] == named[1] {
			return fmt.Errorf("%w: it names something of node %s twice, or nothing", errVote, o.ID.Short())
		}
	}
	return nil
}

// A voteHeader is the text that authorities sign.
type voteHeader struct {
	author uint32
	period time.Time
	body   digest
}

func (h voteHeader) text(network string) string {
	return fmt.Sprintf("port17 vote v1\nnetwork %s\nauthor %08x\nperiod %s\nsha256 %s\n", network, h.author,
		h.period.UTC().Format(time.RFC3339), base64.StdEncoding.EncodeToString(h.body[:]))
}

func parseVoteHeader(network, text string) (h voteHeader, err error) {
	var name, period, hash string
	if _, err := fmt.Sscanf(text, "port17 vote v1\nnetwork %s\nauthor %x\nperiod %s\nsha256 %s\n", &name, &h.author, &period, &hash); err != nil {
		return h, fmt.Errorf("%w: its header can't be read: %w", errVote, err)
	}
	if h.period, err = time.Parse(time.RFC3339, period); err != nil {
		return h, fmt.Errorf("%w: %w", errVote, err)
	}
	sum, err := base64.StdEncoding.DecodeString(hash)
	if err != nil || len(sum) != len(h.body) {
		return h, fmt.Errorf("%w: its hash can't be read", errVote)
	}
	h.body = digest(sum)
	if h.text(network) != text {
		return h, fmt.Errorf("%w: its header is not one of this network in its only form", errVote)
	}
	return h, nil
}

// A ballot is a vote's note with the signatures that it has gathered.
type ballot struct {
	voteHeader
	note *note.Note
}

// openBallot verifies a ballot, whose author has to be among the signers.
func openBallot(q *quorum, signed []byte) (ballot, error) {
	if len(signed) > maxBallot {
		return ballot{}, fmt.Errorf("%w: its note has %d bytes, at most %d are allowed", errVote, len(signed), maxBallot)
	}
	n, err := q.open(signed)
	if err != nil {
		return ballot{}, fmt.Errorf("%w: %w", errVote, err)
	}
	h, err := parseVoteHeader(q.network, n.Text)
	if err != nil {
		return ballot{}, err
	}
	b := ballot{h, n}
	if !b.signedBy(h.author) {
		return ballot{}, fmt.Errorf("%w: its author %08x has not signed it", errVote, h.author)
	}
	return b, nil
}

func (b ballot) signedBy(author uint32) bool {
	return slices.ContainsFunc(b.note.Sigs, func(s note.Signature) bool { return s.Hash == author })
}

// sign returns the ballot with one more signature.
func (b ballot) sign(s note.Signer) (ballot, error) {
	raw, err := s.Sign([]byte(b.note.Text))
	if err != nil {
		return ballot{}, fmt.Errorf("sign vote: %w", err)
	}
	sig := note.Signature{
		Name: s.Name(), Hash: s.KeyHash(),
		Base64: base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, s.KeyHash()), raw...)),
	}
	return ballot{b.voteHeader, &note.Note{Text: b.note.Text, Sigs: append(slices.Clone(b.note.Sigs), sig)}}, nil
}

// bytes returns the ballot as it is sent.
func (b ballot) bytes() ([]byte, error) { return note.Sign(b.note) }
