package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"safing/netmap"
)

// Each source has times of its own: one that is slow, or silent, must not keep
// us from the next.
const (
	connectTimeout = 10 * time.Second
	answerTimeout  = 15 * time.Second // beyond what it may wait
	buildTimeout   = 20 * time.Second // of a circuit
	readTimeout    = time.Minute      // of all of an answer
	maxHeader      = 16 << 10
	maxRefusal     = 512 // bytes of a text that are shown
)

// A source is somewhere to get maps from. Nobody has to believe it.
type source struct {
	name string // for people
	base string // URL
	http *http.Client
	// whole is set once the source has sent something compressed that could not
	// be read.
	whole atomic.Bool
}

// newHTTP returns what asks mirrors and authorities.
func newHTTP() *http.Client {
	dialer := &net.Dialer{Timeout: connectTimeout}
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: connectTimeout, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}}
}

// stay takes redirections for answers. The network file says whom to ask: nobody
// on the way sends us elsewhere.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newSources returns the network's mirrors, and then its authorities, each in
// random order, so that what many ask is spread.
func newSources(n *netmap.Network, by *http.Client) (sources []*source) {
	add := func(url string) {
		if !slices.ContainsFunc(sources, func(s *source) bool { return s.name == url }) {
			sources = append(sources, &source{name: url, base: strings.TrimSuffix(url, "/"), http: by})
		}
	}
	for _, i := range rand.Perm(len(n.Mirrors)) {
		add(n.Mirrors[i])
	}
	for _, i := range rand.Perm(len(n.Authorities)) {
		add(n.Authorities[i].URL)
	}
	return sources
}

// throughCircuits returns the source that is a node of the network.
func (c *Client) throughCircuits() *source {
	return &source{name: "a node of the network", base: "http://directory", http: &http.Client{
		CheckRedirect: stay,
		Transport: once{func(ctx context.Context) (net.Conn, error) {
			h := c.newest()
			if h == nil {
				return nil, errors.New("no node is known yet")
			}
			return c.config.Dial(ctx, h.Map)
		}},
	}}
}

// An answer is a source's: a signed map, or nothing newer than what was asked
// for.
type answer struct {
	signed []byte
	none   bool
}

// ask asks a source for a map after the one with the sequence, for which it may
// wait. It may send what has changed since the one that we hold.
func (s *source) ask(ctx context.Context, after uint64, wait time.Duration, have *held) (answer, error) {
	url := fmt.Sprintf("%s/v1/map?after=%d&wait=%d", s.base, after, int(wait.Seconds()))
	var from uint64
	if have != nil {
		from = have.Sequence
	}
	if !s.whole.Load() {
		url += "&from=" + strconv.FormatUint(from, 10)
	}
	response, done, err := s.get(ctx, url, wait)
	if err != nil {
		return answer{}, err
	}
	defer done()
	switch response.StatusCode {
	case http.StatusNotModified:
		if after == 0 {
			return answer{}, errors.New("it has no map yet")
		}
		return answer{none: true}, nil
	case http.StatusOK:
	default:
		return answer{}, refusal(response)
	}
	b, err := readAll(response, netmap.MaxMap)
	if delta := response.Header.Get(deltaHeader); err == nil && delta != "" {
		if b, err = expand(b, delta, have); err != nil {
			s.whole.Store(true)
		}
	}
	return answer{signed: b}, err
}

// get begins to read an answer, for which the source may wait. The caller calls
// done when it has read it.
func (s *source) get(ctx context.Context, url string, wait time.Duration) (r *http.Response, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(buildTimeout+wait+answerTimeout, func() {
		cancel(fmt.Errorf("it has not answered within %s", wait+answerTimeout))
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err == nil {
		r, err = s.http.Do(request)
	}
	if err != nil {
		err = because(ctx, err)
		limit.Stop()
		cancel(nil)
		return nil, nil, err
	}
	if limit.Stop() {
		limit = time.AfterFunc(readTimeout, func() { cancel(fmt.Errorf("its answer takes longer than %s", readTimeout)) })
	}
	r.Body = &reading{ReadCloser: r.Body, ctx: ctx}
	return r, func() {
		limit.Stop()
		r.Body.Close()
		cancel(nil)
	}, nil
}

// reading is a body whose errors say why it was given up.
type reading struct {
	io.ReadCloser
	ctx context.Context
}

// Read implements io.Reader.
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = because(r.ctx, err)
	}
	return n, err
}

// because returns why the context has ended, if it was by us.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

// readAll reads an answer, which has at most so many bytes.
func readAll(r *http.Response, most int64) ([]byte, error) {
	tooLong := fmt.Errorf("%w: the answer has more than the %d bytes that are allowed", netmap.ErrTooLarge, most)
	if r.ContentLength > most {
		return nil, tooLong
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(b)) > most {
		return nil, tooLong
	}
	return b, nil
}

// refusal is an answer other than what was asked for, as an error.
func refusal(r *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(r.Body, maxRefusal))
	return fmt.Errorf("%s: %s", r.Status, strings.TrimSpace(string(text)))
}
