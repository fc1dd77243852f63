package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

const (
	maxProof   = 63 // hashes
	maxRequest = netmap.MaxCheckpoint + 4<<10
)

// errRequest means that a request is malformed.
var errRequest = errors.New("request is invalid")

// A request asks for a cosignature.
//
//	old N               size of the tree that the witness remembers
//	hash                proof from there to the checkpoint, in base64
//	…
//	(empty line)
//	checkpoint          a signed note
type request struct {
	old        int64
	proof      []tlog.Hash
	checkpoint []byte
}

func (r request) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", r.old)
	for _, h := range r.proof {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(r.checkpoint)
	return b.Bytes()
}

// parseRequest reads what encode returns. The error wraps errRequest.
func parseRequest(b []byte) (request, error) {
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	lines := strings.Split(head, "\n")
	old, isOld := strings.CutPrefix(lines[0], "old ")
	if !ok || !isOld {
		return request{}, fmt.Errorf("%w: it does not begin with \"old\", a size, proof and an empty line", errRequest)
	}
	if len(lines) > 1+maxProof {
		return request{}, fmt.Errorf("%w: its proof has %d hashes, at most %d are allowed", errRequest, len(lines)-1, maxProof)
	}
	r := request{checkpoint: []byte(checkpoint)}
	var err error
	if r.old, err = strconv.ParseInt(old, 10, 64); err != nil || r.old < 0 || strconv.FormatInt(r.old, 10) != old {
		return request{}, fmt.Errorf("%w: its old size %q is not a number", errRequest, old)
	}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil || h.String() != line {
			return request{}, fmt.Errorf("%w: %q in its proof is not a hash", errRequest, line)
		}
		r.proof = append(r.proof, h)
	}
	return r, nil
}
