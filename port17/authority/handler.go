package authority

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"safing/internal/canonical"
	log "safing/internal/tlog"
	"safing/netmap"
)

// Handler serves the authority to nodes and clients,
//
//	POST /v1/descriptors             a signed descriptor; 204, 422 with the reason, 413, 429
//	POST /v1/keys                    signed keys; the same
//	POST /v1/statements              what an authority's operator has signed; the same
//	GET  /v1/map, /v1/maps/{sequence}, /v1/keys/{hash}
//	                                 as directory.Mirror does
//	GET  /v1/health                  200
//	GET  /log/…                      the log of maps (c2sp.org/tlog-tiles)
//
// and to the other authorities, who believe nothing of it:
//
//	GET  /v1/votes?period=TIME       the ballots that were accepted
//	GET  /v1/vote/{hash}             the body of one
//	GET  /v1/objects?want=HASH,…     what nodes have published
//	POST /v1/objects                 the same, in a message that an authority has signed
//	GET  /v1/checkpoints/{size}      the next leaf, and who has signed it
//	GET  /v1/body/{hash}             the body of the map that is to come next
func (a *Authority) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/descriptors", a.serveAdd("descriptor is", netmap.MaxDescriptor, a.taking(kindDescriptor)))
	mux.HandleFunc("POST /v1/keys", a.serveAdd("keys are", netmap.MaxKeys, a.taking(kindKeys)))
	mux.HandleFunc("POST /v1/statements", a.serveAdd("statement is", netmap.MaxStatement, func(ctx context.Context, signed []byte, _ origin) error { return a.AddStatement(ctx, signed) }))
	mux.Handle("GET /v1/map", a.mirror)
	mux.Handle("GET /v1/maps/{sequence}", a.mirror)
	mux.Handle("GET /v1/keys/{hash}", a.mirror)
	mux.Handle("GET /v1/health", a.mirror)
	mux.Handle("GET /log/", http.StripPrefix("/log", log.Handler(a.store.db, a.checkpoint, a.log)))
	mux.HandleFunc("GET /v1/votes", a.serveVotes)
	mux.HandleFunc("GET /v1/vote/{hash}", a.serveVote)
	mux.HandleFunc("GET /v1/objects", a.serveObjects)
	mux.HandleFunc("POST /v1/objects", a.serveMessage)
	mux.HandleFunc("GET /v1/checkpoints/{size}", a.serveCandidate)
	mux.HandleFunc("GET /v1/body/{hash}", a.serveBody)
	return mux
}

// serveAdd takes what nodes publish.
func (a *Authority) serveAdd(what string, most int64, add func(context.Context, []byte, origin) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		network, err := a.limits.source(r.RemoteAddr)
		if err != nil {
			refuse(w, err)
			return
		}
		signed, ok := readAll(w, r, what, most)
		if !ok {
			return
		}
		if err := add(r.Context(), signed, origin{network: network}); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// taking returns what takes objects of a kind from their nodes.
func (a *Authority) taking(k kind) func(context.Context, []byte, origin) error {
	return func(ctx context.Context, signed []byte, from origin) error {
		return a.take(ctx, parcel{Kind: k, Signed: signed}, from)
	}
}

// readAll reads the body of a request, or answers that it is too long.
func readAll(w http.ResponseWriter, r *http.Request, what string, most int64) ([]byte, bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		http.Error(w, fmt.Sprintf("%s longer than %d bytes", what, tooLong.Limit), http.StatusRequestEntityTooLarge)
	}
	return b, err == nil
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusUnprocessableEntity
	if errors.Is(err, errTooMuch) {
		status = http.StatusTooManyRequests
	}
	http.Error(w, err.Error(), status)
}

// serveMessage takes what other authorities pass on. What is wrong with one
// object is no reason to refuse the others.
func (a *Authority) serveMessage(w http.ResponseWriter, r *http.Request) {
	// Who has signed it comes first: strangers can't have us read more.
	body := bufio.NewReaderSize(http.MaxBytesReader(w, r.Body, maxMessage), maxBallot)
	head, err := body.ReadSlice(0)
	if err != nil {
		refuse(w, fmt.Errorf("the message has no content: %w", err))
		return
	}
	m, err := openMessage(a.quorum, time.Now(), bytes.TrimSuffix(head, []byte{0}))
	if err != nil {
		refuse(w, err)
		return
	}
	content, err := io.ReadAll(body)
	if err != nil {
		refuse(w, fmt.Errorf("read the message: %w", err))
		return
	}
	batch, err := m.open(content)
	if err == nil && !a.limits.authors.takeMany(m.author, len(batch)) {
		err = fmt.Errorf("%w from the authority %s", errTooMuch, a.quorum.urls[m.author])
	}
	if err != nil {
		refuse(w, err)
		return
	}
	for _, p := range batch {
		if err := a.takeFromPeer(r.Context(), p, m.author); err != nil {
			a.log.Debug("what an authority has passed on was not taken", "authority", a.quorum.urls[m.author], "error", err)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *Authority) serveVotes(w http.ResponseWriter, r *http.Request) {
	period, err := time.Parse(time.RFC3339, r.URL.Query().Get("period"))
	if err != nil {
		http.Error(w, "period: "+err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	e := a.election
	a.mu.Unlock()
	if e == nil || !e.period.Equal(period) {
		answer(w, []byte{0x80}, nil) // no ballots
		return
	}
	e.serveBallots(w, r)
}

func (a *Authority) serveVote(w http.ResponseWriter, r *http.Request) {
	hash, err := parseDigest(r.PathValue("hash"))
	a.mu.Lock()
	e := a.election
	a.mu.Unlock()
	if e == nil || err != nil {
		answer(w, nil, err)
		return
	}
	answer(w, e.body(hash), nil)
}

func (a *Authority) serveObjects(w http.ResponseWriter, r *http.Request) {
	names := strings.Split(r.URL.Query().Get("want"), ",")
	if len(names) > maxBatch {
		http.Error(w, fmt.Sprintf("at most %d objects can be wanted at once", maxBatch), http.StatusBadRequest)
		return
	}
	all := []parcel{}
	for _, name := range names {
		hash, err := parseDigest(name)
		if err != nil {
			answer(w, nil, err)
			return
		}
		if o := a.nodes.object(hash); o != nil {
			all = append(all, parcel{o.kind, o.signed})
		}
	}
	b, err := encodeBatch(all)
	answer(w, b, err)
}

func (a *Authority) serveCandidate(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseUint(r.PathValue("size"), 10, 62)
	if err != nil {
		answer(w, nil, err)
		return
	}
	a.mu.Lock()
	c, current := a.pending, a.current
	a.mu.Unlock()
	if c != nil {
		if sequence, err := c.sequence(); err == nil && sequence+1 == size {
			b, err := canonical.Encode(candidateWire{Header: c.header, Checkpoint: c.checkpoint})
			answer(w, b, err)
			return
		}
	}
	if current.bytes == nil || current.sequence+1 != size {
		answer(w, nil, nil)
		return
	}
	// It is out here, and the other one may lack our signature only.
	h, err := current.head()
	if err != nil {
		answer(w, nil, err)
		return
	}
	b, err := canonical.Encode(candidateWire{Header: h.Header, Checkpoint: h.Checkpoint})
	answer(w, b, err)
}

func (a *Authority) serveBody(w http.ResponseWriter, r *http.Request) {
	hash, err := parseDigest(r.PathValue("hash"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	a.mu.Lock()
	c, current := a.pending, a.current
	a.mu.Unlock()
	if c != nil && names(c.header, hash) {
		b, err := canonical.Encode(bodyWire{Body: c.body, Shards: c.shards})
		answer(w, b, err)
		return
	}
	// It may be out here, and too late for others to take it as a map.
	b, err := current.rest(hash)
	answer(w, b, err)
}

// names says whether a map's header names the body.
func names(header string, body digest) bool {
	h, err := netmap.ParseHeader(header)
	return err == nil && digest(h.Body) == body
}

// checkpoint returns the one that is out, as the log shows it.
func (a *Authority) checkpoint(context.Context) ([]byte, error) {
	a.mu.Lock()
	current := a.current
	a.mu.Unlock()
	if current.bytes == nil {
		return nil, nil
	}
	h, err := current.head()
	return h.Checkpoint, err
}

func answer(w http.ResponseWriter, b []byte, err error) {
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case b == nil:
		http.Error(w, "there is nothing of that name now", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b)
	}
}

func parseDigest(text string) (digest, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(digest{}) {
		return digest{}, fmt.Errorf("%.70q is not a hash of 64 hexadecimal digits", text)
	}
	return digest(b), nil
}
