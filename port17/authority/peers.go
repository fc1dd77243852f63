package authority

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"safing/netmap"
)

const (
	askTimeout   = 10 * time.Second // for what is small
	bodyTimeout  = 2 * time.Minute  // for a vote or a map
	maxCandidate = 64 << 10         // bytes of a candidate's header and checkpoint
)

// A peer is another authority of the network. Nothing that it answers is
// believed: callers verify it. All answers are bounded in length and time.
type peer struct {
	hash uint32 // of its key
	url  string
	http *http.Client
}

// newPeers returns all authorities but ourselves.
func newPeers(q *quorum, self uint32, transport http.RoundTripper) []*peer {
	client := &http.Client{
		Transport: transport,
		// The network file says whom to ask: nobody on the way sends us elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var all []*peer
	for hash, url := range q.urls {
		if hash != self {
			all = append(all, &peer{hash: hash, url: strings.TrimSuffix(url, "/"), http: client})
		}
	}
	return all
}

// ballots returns what the peer has accepted of a period.
func (p *peer) ballots(ctx context.Context, period time.Time) ([]string, error) {
	b, err := p.get(ctx, "/v1/votes?period="+url.QueryEscape(period.Format(time.RFC3339)), maxBallots*(maxBallot+8), askTimeout)
	if err != nil || b == nil {
		return nil, err
	}
	return decodeBallots(b)
}

// vote returns the body of a vote.
func (p *peer) vote(ctx context.Context, body digest) ([]byte, error) {
	return p.get(ctx, "/v1/vote/"+hex.EncodeToString(body[:]), maxVote, bodyTimeout)
}

// objects returns those of the objects that the peer has, at most maxBatch.
func (p *peer) objects(ctx context.Context, wanted []digest) ([]parcel, error) {
	names := make([]string, 0, len(wanted))
	for _, d := range wanted {
		names = append(names, hex.EncodeToString(d[:]))
	}
	b, err := p.get(ctx, "/v1/objects?want="+strings.Join(names, ","), maxMessage, bodyTimeout)
	if err != nil || b == nil {
		return nil, err
	}
	return decodeBatch(b)
}

// body returns the body of a map that the peer has or proposes.
func (p *peer) body(ctx context.Context, hash digest) ([]byte, error) {
	return p.get(ctx, "/v1/body/"+hex.EncodeToString(hash[:]), netmap.MaxMap, bodyTimeout)
}

// candidate returns what the peer proposes as the log of the size.
func (p *peer) candidate(ctx context.Context, size int64) ([]byte, error) {
	return p.get(ctx, fmt.Sprintf("/v1/checkpoints/%d", size), maxCandidate, askTimeout)
}

// newest returns the peer's newest map, if it is after the sequence; nil if it
// is not.
func (p *peer) newest(ctx context.Context, after uint64) ([]byte, error) {
	return p.get(ctx, fmt.Sprintf("/v1/map?after=%d", after), netmap.MaxMap, bodyTimeout)
}

// send hands a sealed message of objects to the peer.
func (p *peer) send(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, bodyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/objects", bytes.NewReader(message))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := p.http.Do(request)
	if err != nil {
		return fmt.Errorf("pass objects on: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("pass objects on to %s: %w", p.url, answered(response))
	}
	return nil
}

// get returns the body of an answer, of most bytes at most and within the
// timeout; nil if there is nothing, or nothing new.
func (p *peer) get(ctx context.Context, path string, most int64, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(askTimeout, cancel) // who is silent is not waited for
	defer silent.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := p.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask authority: %w", err)
	}
	defer response.Body.Close()
	silent.Reset(timeout)
	switch response.StatusCode {
	case http.StatusNotModified, http.StatusNotFound:
		return nil, nil
	case http.StatusOK:
	default:
		return nil, fmt.Errorf("ask authority %s: %w", p.url, answered(response))
	}
	b, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("ask authority %s: %w", p.url, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("ask authority %s: its answer to %s has more than %d bytes", p.url, path, most)
	}
	return b, nil
}

// answered is a peer's refusal as an error.
func answered(r *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(r.Body, 512))
	return fmt.Errorf("%s: %s", r.Status, strings.TrimSpace(string(text)))
}
