package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

const (
	maxAnswer = 4 << 10 // bytes
	// tries is how often a witness is asked: the first time its size is a guess,
	// and another authority may be faster after that.
	tries = 3
)

// Defaults of a ClientConfig.
const (
	DefaultWait  = 10 * time.Second
	DefaultGrace = 500 * time.Millisecond
)

// ClientConfig says whom to ask, and how long.
type ClientConfig struct {
	Network *netmap.Network // whose witnesses are asked
	Wait    time.Duration   // for their answers; DefaultWait if 0
	Grace   time.Duration   // for the others once enough have answered; DefaultGrace if 0
	Log     *slog.Logger    // nil discards
}

// A Client asks the witnesses of a network for cosignatures.
type Client struct {
	config ClientConfig
	http   *http.Client

	mu   sync.Mutex
	size map[string]int64 // of the tree that a witness knows, by its URL
}

// NewClient returns a client. It asks nobody yet.
func NewClient(c ClientConfig) *Client {
	if c.Wait <= 0 {
		c.Wait = DefaultWait
	}
	if c.Grace <= 0 {
		c.Grace = DefaultGrace
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{config: c, size: make(map[string]int64), http: &http.Client{
		Transport: &http.Transport{IdleConnTimeout: time.Minute},
		// The network file says whom to ask: nobody on the way sends us elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends the connections that wait for another question.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A Prover proves that the tree of the checkpoint begins with the old leaves of a
// smaller one, as Tree.ProveFrom of internal/tlog does.
type Prover func(ctx context.Context, old int64) ([]tlog.Hash, error)

// Cosign asks all witnesses at once and returns the checkpoint with their valid
// cosignatures. It returns when all have answered, a little after enough have,
// or when the time is over. If these are fewer than the network asks for, the
// error wraps [netmap.ErrWitness], and the checkpoint has those that there are.
//
// The checkpoint must be signed by enough authorities.
func (c *Client) Cosign(ctx context.Context, signed []byte, prove Prover) ([]byte, error) {
	checkpoint, err := c.config.Network.OpenCheckpoint(signed)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Wait)
	defer cancel()
	type answer struct {
		of   netmap.Witness
		note []byte
		err  error
	}
	witnesses := c.config.Network.Witnesses
	answers := make(chan answer, len(witnesses))
	for _, w := range witnesses {
		go func() {
			note, err := c.ask(ctx, w, checkpoint, signed, prove)
			answers <- answer{w, note, err}
		}()
	}
	cosigned := signed
	var errs []error
	for left := len(witnesses); left > 0; left-- {
		if _, n, err := c.config.Network.CountSignatures(cosigned); err == nil && n >= c.config.Network.WitnessThreshold {
			late := time.AfterFunc(c.config.Grace, cancel)
			defer late.Stop()
		}
		a := <-answers // it ends with ctx
		var merged []byte
		if a.err == nil {
			merged, a.err = c.config.Network.MergeSignatures(cosigned, a.note)
		}
		if a.err == nil {
			cosigned = merged
		} else {
			err := fmt.Errorf("ask witness %s: %w", a.of.URL, a.err)
			c.config.Log.Warn("a witness has not cosigned", "error", err)
			errs = append(errs, err)
		}
	}
	if _, err := c.config.Network.OpenWitnessed(cosigned); err != nil {
		return cosigned, errors.Join(append([]error{err}, errs...)...)
	}
	return cosigned, nil
}

// Known asks all witnesses which checkpoint of the log is the newest that they
// have cosigned, and returns what they say: notes, unverified. Whoever lacks
// signatures that others gave may find them there.
func (c *Client) Known(ctx context.Context) [][]byte {
	ctx, cancel := context.WithTimeout(ctx, c.config.Wait)
	defer cancel()
	witnesses := c.config.Network.Witnesses
	answers := make(chan []byte, len(witnesses))
	for _, w := range witnesses {
		go func() {
			note, err := c.known(ctx, w)
			if err != nil {
				c.config.Log.Info("a witness does not say what it knows", "witness", w.URL, "error", err)
			}
			answers <- note
		}()
	}
	var notes [][]byte
	for range witnesses {
		if note := <-answers; note != nil { // it ends with ctx
			notes = append(notes, note)
		}
	}
	return notes
}

func (c *Client) known(ctx context.Context, w netmap.Witness) ([]byte, error) {
	from := strings.TrimSuffix(w.URL, "/") + "/known?origin=" + url.QueryEscape(c.config.Network.Name)
	question, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(question)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	note, err := io.ReadAll(io.LimitReader(response.Body, netmap.MaxCheckpoint))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusNotFound:
		return nil, nil // it knows none
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %.200s", response.Status, note)
	}
	return note, nil
}

// ask returns the checkpoint with the witness's valid cosignature.
func (c *Client) ask(ctx context.Context, w netmap.Witness, checkpoint netmap.Checkpoint, signed []byte, prove Prover) ([]byte, error) {
	c.mu.Lock()
	old := min(c.size[w.URL], checkpoint.Size)
	c.mu.Unlock()
	for range tries {
		proof, err := prove(ctx, old)
		if err != nil {
			return nil, err
		}
		line, err := c.post(ctx, w, request{old: old, proof: proof, checkpoint: signed})
		var conflict *conflictError
		switch {
		case errors.As(err, &conflict):
			if conflict.size == old && old == checkpoint.Size || conflict.size > checkpoint.Size {
				return nil, fmt.Errorf("%w, and this one has %d: it has another log, or a newer one", err, checkpoint.Size)
			}
			old = conflict.size
			continue
		case err != nil:
			return nil, err
		}
		c.mu.Lock()
		c.size[w.URL] = checkpoint.Size
		c.mu.Unlock()
		text := netmap.MakeCheckpoint(checkpoint.Origin, checkpoint.Size, checkpoint.Root)
		return open(w, append([]byte(text+"\n"), line...))
	}
	return nil, errors.New("its tree was another one each time")
}

// open refuses what the witness has not cosigned.
func open(w netmap.Witness, cosigned []byte) ([]byte, error) {
	v, err := netmap.NewCosignatureVerifier(w.Key)
	if err != nil {
		return nil, err
	}
	if _, err := note.Open(cosigned, note.VerifierList(v)); err != nil {
		return nil, fmt.Errorf("its answer is not a cosignature with its key: %w", err)
	}
	return cosigned, nil
}

// post sends a request once. The error may be a *conflictError.
func (c *Client) post(ctx context.Context, w netmap.Witness, r request) ([]byte, error) {
	to := strings.TrimSuffix(w.URL, "/") + "/add-checkpoint"
	question, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(r.encode()))
	if err != nil {
		return nil, err
	}
	question.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := c.http.Do(question)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	switch text := strings.TrimSpace(string(body)); response.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusConflict:
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("it knows a tree of %.20q leaves, which is not a number", text)
		}
		return nil, &conflictError{size}
	default:
		return nil, fmt.Errorf("%s: %.200s", response.Status, text)
	}
}
