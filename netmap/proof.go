package netmap

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	proofMagic = "c2sp.org/tlog-proof@v1"
	maxHashes  = 63      // of a proof
	maxHead    = 4 << 10 // bytes of header and proof, without the checkpoint
)

// A Header says what a map is. It is the leaf of the network's log.
type Header struct {
	Network    string
	Sequence   uint64 // the leaf's number, from 1
	ValidAfter time.Time
	ValidUntil time.Time
	Body       [sha256.Size]byte // hash of the body
}

// FirstLeaf is the first leaf of a network's log. It stands where map 0 would:
// maps are counted from 1.
func FirstLeaf(network string) string { return "port17 log v1\nnetwork " + network + "\n" }

// String returns the header as the log has it.
func (h Header) String() string {
	return fmt.Sprintf("port17 map v2\nnetwork %s\nsequence %d\nvalid-after %s\nvalid-until %s\nsha256 %s\n",
		h.Network, h.Sequence, h.ValidAfter.UTC().Format(time.RFC3339), h.ValidUntil.UTC().Format(time.RFC3339),
		base64.StdEncoding.EncodeToString(h.Body[:]))
}

// ParseHeader reads what String returns. The error wraps [ErrMap].
func ParseHeader(text string) (Header, error) {
	var h Header
	values, whole := make([]string, 0, 5), text
	for _, key := range []string{"port17 map v2\nnetwork ", "sequence ", "valid-after ", "valid-until ", "sha256 "} {
		rest, ok := strings.CutPrefix(text, key)
		value, rest, end := strings.Cut(rest, "\n")
		if !ok || !end {
			return Header{}, fmt.Errorf("%w: its header lacks %q", ErrMap, key)
		}
		values, text = append(values, value), rest
	}
	var err error
	if h.Sequence, err = strconv.ParseUint(values[1], 10, maxSizeBits-1); err != nil {
		return Header{}, fmt.Errorf("%w: its sequence %q is not a number", ErrMap, values[1])
	}
	if h.ValidAfter, err = time.Parse(time.RFC3339, values[2]); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrMap, err)
	}
	if h.ValidUntil, err = time.Parse(time.RFC3339, values[3]); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrMap, err)
	}
	body, err := base64.StdEncoding.DecodeString(values[4])
	if err != nil || len(body) != sha256.Size {
		return Header{}, fmt.Errorf("%w: %q is not the hash of a body", ErrMap, values[4])
	}
	h.Network, h.Body = values[0], [sha256.Size]byte(body)
	if h.String() != whole {
		return Header{}, fmt.Errorf("%w: its header is not in the form that its values make", ErrMap)
	}
	return h, nil
}

// A Head is all of a signed map but its body: the header, and the proof that it
// is in the log (c2sp.org/tlog-proof).
//
//	header              a line "port17 map v2", and more
//	(empty line)
//	c2sp.org/tlog-proof@v1
//	index N             the map's sequence
//	hash                from the leaf's sibling up, in base64
//	…
//	(empty line)
//	checkpoint          a signed note
type Head struct {
	Header     string // the leaf, as it is in the log
	Index      int64
	Hashes     []tlog.Hash
	Checkpoint []byte
}

func (h Head) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\nindex %d\n", h.Header, proofMagic, h.Index)
	for _, hash := range h.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(hash[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(h.Checkpoint)
	return b.Bytes()
}

// ParseHead reads what stands before the zero byte of a signed map. It verifies
// nothing. The error wraps [ErrMap] or [ErrTooLarge].
func ParseHead(b []byte) (Head, error) {
	if len(b) > maxHead+MaxCheckpoint {
		return Head{}, fmt.Errorf("%w: its head has %d bytes, at most %d are allowed", ErrTooLarge, len(b), maxHead+MaxCheckpoint)
	}
	header, rest, ok1 := strings.Cut(string(b), "\n\n")
	proof, checkpoint, ok2 := strings.Cut(rest, "\n\n")
	lines := strings.Split(proof, "\n")
	if !ok1 || !ok2 || len(lines) < 2 || lines[0] != proofMagic || len(lines) > 2+maxHashes {
		return Head{}, fmt.Errorf("%w: it has no proof that it is in the log", ErrMap)
	}
	h := Head{Header: header + "\n", Checkpoint: []byte(checkpoint)}
	index, ok := strings.CutPrefix(lines[1], "index ")
	var err error
	if h.Index, err = strconv.ParseInt(index, 10, maxSizeBits); !ok || err != nil {
		return Head{}, fmt.Errorf("%w: %q does not say where it is in the log", ErrMap, lines[1])
	}
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize {
			return Head{}, fmt.Errorf("%w: %q in its proof is not a hash", ErrMap, line)
		}
		h.Hashes = append(h.Hashes, tlog.Hash(hash))
	}
	if !bytes.Equal(h.encode(), b) {
		return Head{}, fmt.Errorf("%w: its head is not in the form that its values make", ErrMap)
	}
	return h, nil
}

// AssembleMap returns a signed map of its parts: the header, which must be the
// newest leaf of the checkpoint's tree, the proof of that (from the leaf's
// sibling up), and the body that the header names. Whether they fit together is
// for [Network.Verify] to find out.
func AssembleMap(header string, proof []tlog.Hash, checkpoint, body []byte) ([]byte, error) {
	h, err := ParseHeader(header)
	if err != nil {
		return nil, err
	}
	head := Head{Header: header, Index: int64(h.Sequence), Hashes: proof, Checkpoint: checkpoint}.encode()
	return JoinMap(head, body), nil
}

// SplitMap divides a signed map into its head, for [ParseHead], and its body. It
// verifies nothing. The error wraps [ErrMap] or [ErrTooLarge].
func SplitMap(signed []byte) (head, body []byte, err error) {
	if len(signed) > MaxMap {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrTooLarge, len(signed), MaxMap)
	}
	head, body, ok := bytes.Cut(signed, []byte{0})
	if !ok {
		return nil, nil, fmt.Errorf("%w: it has no body", ErrMap)
	}
	return head, body, nil
}

// JoinMap makes a signed map of what SplitMap returns.
func JoinMap(head, body []byte) []byte {
	return append(append(bytes.Clone(head), 0), body...)
}

// openHead verifies who has signed, and that the header is the newest leaf of
// the log that they have signed.
func (n *Network) openHead(head Head) (Header, error) {
	header, err := ParseHeader(head.Header)
	if err != nil {
		return Header{}, err
	}
	c, err := n.OpenWitnessed(head.Checkpoint)
	switch {
	case errors.Is(err, ErrCheckpoint):
		return Header{}, fmt.Errorf("%w: %w", ErrMap, err)
	case err != nil:
		return Header{}, err
	case header.Network != n.Name:
		return Header{}, fmt.Errorf("%w: it is of the network %q, not %q", ErrMap, header.Network, n.Name)
	case header.Sequence == 0 || header.Sequence != uint64(head.Index) || c.Size != head.Index+1:
		return Header{}, fmt.Errorf("%w: map %d is not the newest of the log, which has %d", ErrMap, header.Sequence, c.Size)
	}
	if err := tlog.CheckRecord(head.Hashes, c.Size, c.Root, head.Index, tlog.RecordHash([]byte(head.Header))); err != nil {
		return Header{}, fmt.Errorf("%w: it is not in the log that was signed: %w", ErrMap, err)
	}
	return header, nil
}

// checkTime refuses what is not valid now. The error wraps [ErrExpired] or
// [ErrNotYet].
func (h Header) checkTime(now time.Time) error {
	if now.Before(h.ValidAfter) {
		return fmt.Errorf("%w: it is valid from %s and now is %s", ErrNotYet, h.ValidAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if !now.Before(h.ValidUntil) {
		return fmt.Errorf("%w: it was valid until %s and now is %s", ErrExpired, h.ValidUntil.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}
