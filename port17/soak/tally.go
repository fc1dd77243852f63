package soak

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	maxErrors = 32 // texts that are told apart
	maxWrong  = 16 // texts that are kept
)

// Counts say what became of streams.
type Counts struct {
	Right  uint64 `json:"right"`
	Broken uint64 `json:"broken"` // with an error
	Wrong  uint64 `json:"wrong"`
	Bytes  uint64 `json:"bytes"` // of streams that were right

	Datagrams uint64 `json:"datagrams"` // sent
	Lost      uint64 `json:"lost"`      // of them, those that did not come back

	Kinds  map[string]KindCounts `json:"kinds"`
	Errors map[string]uint64     `json:"errors"`         // by text, of those that broke
	Bugs   []string              `json:"bugs,omitempty"` // what was wrong, the first few
}

// KindCounts are those of one kind of stream.
type KindCounts struct {
	Right  uint64 `json:"right"`
	Broken uint64 `json:"broken"`
	Wrong  uint64 `json:"wrong"`
}

type tally struct {
	bytes, datagrams, lost atomic.Uint64

	mu     sync.Mutex
	kinds  map[string]KindCounts
	errors map[string]uint64
	bugs   []string
}

func (t *tally) add(kind string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds == nil {
		t.kinds, t.errors = make(map[string]KindCounts), make(map[string]uint64)
	}
	k := t.kinds[kind]
	var bug wrong
	switch {
	case err == nil:
		k.Right++
	case errors.As(err, &bug):
		k.Wrong++
		if len(t.bugs) < maxWrong {
			t.bugs = append(t.bugs, fmt.Sprintf("%s: %v", kind, err))
		}
	default:
		k.Broken++
		text := root(err)
		if _, known := t.errors[text]; !known && len(t.errors) >= maxErrors {
			text = "other errors"
		}
		t.errors[text]++
	}
	t.kinds[kind] = k
}

// root is the innermost error's text, which has no addresses.
func root(err error) string {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			err = e.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}

func (t *tally) counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Counts{
		Bytes: t.bytes.Load(), Datagrams: t.datagrams.Load(), Lost: t.lost.Load(),
		Kinds: make(map[string]KindCounts), Errors: make(map[string]uint64),
		Bugs: append([]string(nil), t.bugs...),
	}
	for name, k := range t.kinds {
		c.Kinds[name] = k
		c.Right += k.Right
		c.Broken += k.Broken
		c.Wrong += k.Wrong
	}
	for text, n := range t.errors {
		c.Errors[text] = n
	}
	return c
}
