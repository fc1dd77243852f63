package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

// Config says what a witness watches.
type Config struct {
	Name     string             // of its key: plain letters, such as witness.example.org/port17
	Key      ed25519.PrivateKey // of its own: no other program may sign with it
	Networks []*netmap.Network  // whose logs it watches
	State    string             // folder of the database
	Log      *slog.Logger       // nil discards
}

// A Witness cosigns checkpoints.
type Witness struct {
	networks map[string]*netmap.Network // by the origin of their logs
	cosigner note.Signer
	store    *store
	sources  *sources
	log      *slog.Logger
}

// Errors of a request, besides errRequest.
var (
	errUnknownLog = errors.New("this witness does not watch the log")
	errNotSigned  = errors.New("the checkpoint is not signed by enough of the log's authorities")
	errProof      = errors.New("the checkpoint is not proven to hold what the one before holds")
)

// A conflictError says that the witness remembers another tree.
type conflictError struct{ size int64 }

func (e *conflictError) Error() string {
	return fmt.Sprintf("the witness knows another tree of the log, with %d leaves", e.size)
}

// New loads the state. Close ends the witness.
func New(ctx context.Context, c Config) (*Witness, error) {
	w := &Witness{networks: make(map[string]*netmap.Network), sources: newSources(), log: c.Log}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	for _, n := range c.Networks {
		if w.networks[n.Name] != nil {
			return nil, fmt.Errorf("two networks are named %q: a witness can watch one of them", n.Name)
		}
		w.networks[n.Name] = n
	}
	var err error
	if w.cosigner, err = netmap.NewCosigner(c.Name, c.Key, time.Now); err != nil {
		return nil, err
	}
	if w.store, err = openStore(ctx, filepath.Join(c.State, "witness.db")); err != nil {
		return nil, err
	}
	return w, nil
}

// Close ends the witness.
func (w *Witness) Close() error { return w.store.close() }

// cosign judges a request and returns the line with the cosignature.
func (w *Witness) cosign(ctx context.Context, r request) ([]byte, error) {
	origin, _, _ := bytes.Cut(r.checkpoint, []byte("\n"))
	network := w.networks[string(origin)]
	if network == nil {
		return nil, errUnknownLog
	}
	c, err := network.OpenCheckpoint(r.checkpoint)
	switch {
	case errors.Is(err, netmap.ErrSignature):
		return nil, fmt.Errorf("%w, which are %d", errNotSigned, network.Threshold)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	case r.old > c.Size:
		return nil, fmt.Errorf("%w: its old size %d is larger than that of the checkpoint, %d", errRequest, r.old, c.Size)
	}
	// What is remembered is not longer for what a stranger adds.
	signed, err := network.MergeSignatures(r.checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	var contradicted *known
	err = w.store.advance(ctx, c, signed, func(k known) error {
		err := r.follows(c, k)
		if k.size == c.Size && k.root != c.Root && k.checkpoint != nil {
			contradicted = &k
		}
		return err
	})
	if contradicted != nil {
		w.log.Error("the authorities have signed two logs of one network", "network", c.Origin, "size", c.Size,
			"root", c.Root, "known_root", contradicted.root)
		err = errors.Join(err, w.store.keepEvidence(ctx, c, signed, *contradicted))
	}
	if err != nil {
		return nil, err
	}
	return w.line(netmap.MakeCheckpoint(c.Origin, c.Size, c.Root))
}

// follows says whether the checkpoint may be remembered after the one that is.
func (r request) follows(c netmap.Checkpoint, k known) error {
	if r.old != k.size || k.size == c.Size && k.checkpoint != nil && k.root != c.Root {
		return &conflictError{k.size}
	}
	if k.size == 0 {
		// There is one tree without leaves, which every other one begins with.
		if len(r.proof) > 0 || c.Size == 0 && c.Root != emptyRoot() {
			return errProof
		}
		return nil
	}
	if tlog.CheckTree(r.proof, c.Size, c.Root, k.size, k.root) != nil {
		return errProof
	}
	return nil
}

func emptyRoot() tlog.Hash {
	h, _ := tlog.TreeHash(0, nil) // reads no hashes
	return h
}

// line cosigns the text and returns the one line of its signature.
func (w *Witness) line(text string) ([]byte, error) {
	signed, err := netmap.SignCheckpoint(text, w.cosigner)
	if err != nil {
		return nil, err
	}
	return bytes.TrimPrefix(signed, []byte(text+"\n")), nil
}
