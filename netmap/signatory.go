package netmap

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

// A Signatory is an authority or a witness whose valid signature a checkpoint
// has.
type Signatory struct {
	URL     string // of the network's file
	Witness bool
	At      time.Time // when a witness has cosigned, as it says; zero for authorities
}

// Signatories returns who of the network has signed a checkpoint, in the order
// of the network's file. Whether they are enough is for [Network.OpenWitnessed]
// to say. The error wraps [ErrCheckpoint].
func (n *Network) Signatories(signed []byte) ([]Signatory, error) {
	text, signatures, err := parseNote(signed)
	if err != nil {
		return nil, err
	}
	var all []Signatory
	for _, k := range n.signers() {
		for _, s := range signatures {
			if !k.signed(text, s) {
				continue
			}
			by := Signatory{URL: k.url, Witness: k.witness}
			if raw, err := base64.StdEncoding.DecodeString(s.Base64); err == nil && k.witness && len(raw) >= 12 {
				by.At = time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC()
			}
			all = append(all, by)
			break
		}
	}
	return all, nil
}
