package authority

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/canonical"
	"safing/netmap"
)

// Bounds of what authorities send each other.
const (
	maxBatch   = 64 // objects
	maxBallots = 2 * maxAuthorities
	maxMessage = maxBatch*(netmap.MaxDescriptor+64) + maxBallot
	messageAge = 5 * time.Minute // as clocks differ
)

// A kind is what an object is.
type kind uint8

const (
	kindDescriptor kind = iota + 1
	kindKeys
	kindStatement
)

// String says what was published, for people.
func (k kind) String() string {
	switch k {
	case kindDescriptor:
		return "descriptor was"
	case kindKeys:
		return "keys were"
	case kindStatement:
		return "statement was"
	}
	return fmt.Sprintf("object of kind %d was", uint8(k))
}

// A parcel is an object as authorities pass it on. Whoever gets it verifies it:
// it is signed by the node or authority that it is of.
type parcel struct {
	Kind   kind   `cbor:"1,keyasint"`
	Signed []byte `cbor:"2,keyasint"`
}

func (p parcel) hash() digest { return sha256.Sum256(p.Signed) }

func encodeBatch(all []parcel) ([]byte, error) {
	if len(all) > maxBatch {
		return nil, fmt.Errorf("%d objects are too many for one message", len(all))
	}
	return canonical.Encode(all)
}

func decodeBatch(b []byte) ([]parcel, error) {
	var all []parcel
	if err := canonical.Decode(b, &all, maxNodes); err != nil {
		return nil, err
	}
	if len(all) > maxBatch {
		return nil, fmt.Errorf("%d objects in one message, at most %d are allowed", len(all), maxBatch)
	}
	for _, p := range all {
		if p.Kind < kindDescriptor || p.Kind > kindStatement || len(p.Signed) > netmap.MaxDescriptor {
			return nil, fmt.Errorf("an object of kind %d with %d bytes", p.Kind, len(p.Signed))
		}
	}
	return all, nil
}

// encodeBallots writes the ballots of a period as authorities show them.
func encodeBallots(all []ballot) ([]byte, error) {
	signed := make([]string, 0, len(all))
	for _, b := range all {
		text, err := b.bytes()
		if err != nil {
			return nil, err
		}
		signed = append(signed, string(text))
	}
	return canonical.Encode(signed)
}

// decodeBallots returns ballots that have yet to be opened.
func decodeBallots(b []byte) ([]string, error) {
	var all []string
	if err := canonical.Decode(b, &all, maxNodes); err != nil {
		return nil, err
	}
	if len(all) > maxBallots {
		return nil, fmt.Errorf("%d votes, at most %d are possible", len(all), maxBallots)
	}
	return all, nil
}

// A message is what an authority sends to another unasked: a signed note, a zero
// byte, and the content that it names. The signature is so that strangers can't
// use up what is allowed to authorities.
//
//	port17 objects v1
//	network NAME
//	date 2026-11-21T10:00:07Z
//	sha256 BASE64 of the content's hash
func sealMessage(network string, s note.Signer, now time.Time, content []byte) ([]byte, error) {
	head, err := note.Sign(&note.Note{Text: messageText(network, now, content)}, s)
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	return append(append(head, 0), content...), nil
}

func messageText(network string, date time.Time, content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("port17 objects v1\nnetwork %s\ndate %s\nsha256 %s\n", network,
		date.UTC().Format(time.RFC3339), base64.StdEncoding.EncodeToString(sum[:]))
}

// A messageHead is the note of a message, verified.
type messageHead struct {
	author  uint32
	network string
	date    time.Time
	text    string
}

// openMessage verifies who has signed a message, and when.
func openMessage(q *quorum, now time.Time, head []byte) (messageHead, error) {
	n, err := q.open(head)
	if err != nil {
		return messageHead{}, err
	}
	var name, date, hash string
	if _, err := fmt.Sscanf(n.Text, "port17 objects v1\nnetwork %s\ndate %s\nsha256 %s\n", &name, &date, &hash); err != nil {
		return messageHead{}, fmt.Errorf("the message's header can't be read: %w", err)
	}
	when, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return messageHead{}, fmt.Errorf("the message's header can't be read: %w", err)
	}
	if age := now.Sub(when); age > messageAge || age < -messageAge {
		return messageHead{}, fmt.Errorf("the message is of %s and now is %s: check the authorities' clocks", date, now.UTC().Format(time.RFC3339))
	}
	return messageHead{author: n.Sigs[0].Hash, network: q.network, date: when, text: n.Text}, nil
}

// open returns the objects in the content, if that is the one that was signed.
func (m messageHead) open(content []byte) ([]parcel, error) {
	if messageText(m.network, m.date, content) != m.text {
		return nil, errors.New("the message's content is not the one that was signed")
	}
	return decodeBatch(content)
}
