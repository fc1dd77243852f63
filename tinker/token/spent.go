package token

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Reasons why a Spent set does not take a token. After any of them the token
// must be refused.
var (
	ErrSpent     = errors.New("the token was spent before")
	ErrEpochOver = errors.New("the token's epoch is over: its spent tokens are forgotten")
	ErrFull      = errors.New("the spent set is full")
	ErrBusy      = errors.New("too many tokens wait to be written to the spent set: try again")
	ErrClosed    = errors.New("the spent set is closed")
)

// Defaults and limits of a SpentConfig.
const (
	DefaultSpentLimit = 4 << 20 // tokens
	DefaultSpentQueue = 4096    // tokens

	maxSpentLimit = 1 << 30
	maxEpochs     = 64 // files open at once
)

// A SpentConfig has the limits of a Spent set. Zero values mean the defaults.
type SpentConfig struct {
	Limit int // tokens kept over all epochs; 40 bytes of disk and about 90 of memory each
	Queue int // tokens that wait for the disk at once
}

// A Spent is the set of spent tokens: exact, and durable on disk. It has one
// file for each epoch, to which it only appends, and which goes as a whole
// with [Spent.Forget].
//
// A token is spent when Spend has returned nil, and then for good: also when
// the process or the machine dies the next moment. Where Spend returns an
// error, or never returns, the token may count as spent or not, but it is never
// spent twice. After an error of the disk the set takes nothing more, until it
// is opened again.
//
// One process at a time can have a folder open.
type Spent struct {
	config SpentConfig
	dir    string
	lock   *os.File
	disk   disk

	mu     sync.Mutex
	more   *sync.Cond // the queue is not empty, or the set is closed
	epochs map[uint64]*epoch
	floor  uint64 // epochs below it are over
	count  int    // keys of all epochs
	queue  *batch // what the writer takes next
	broken error  // why nothing more is taken
	closed bool

	stopped  chan struct{} // the writer has ended
	close    sync.Once
	closeErr error
}

// OpenSpent opens the spent set in a folder, or makes it; the folder above must
// exist. It fails when a file was damaged, and when the folder cannot be
// written: a node that cannot tell what was spent must not take tokens.
func OpenSpent(dir string, c SpentConfig) (*Spent, error) {
	if c.Limit <= 0 {
		c.Limit = DefaultSpentLimit
	}
	if c.Queue <= 0 {
		c.Queue = DefaultSpentQueue
	}
	c.Limit = min(c.Limit, maxSpentLimit)
	return openSpent(dir, c, disk{write: (*os.File).WriteAt, sync: (*os.File).Sync})
}

func openSpent(dir string, c SpentConfig, d disk) (*Spent, error) {
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("make the spent set's folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("lock the spent set %s: %w", dir, err)
	}
	s := &Spent{
		config:  c,
		dir:     dir,
		lock:    lock,
		disk:    d,
		queue:   newBatch(),
		stopped: make(chan struct{}),
	}
	s.more = sync.NewCond(&s.mu)
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go s.writer()
	return s, nil
}

func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// Spend notes that a token was spent in an epoch; key is its nonce. It returns
// nil once that is durable, and ErrSpent when it was spent before or is just
// being spent by another call. Calls at the same time share one write to disk.
//
// When ctx ends first, Spend returns its error, and the token may be spent.
func (s *Spent) Spend(ctx context.Context, epoch uint64, key [32]byte) error {
	return s.spend(ctx, epoch, key)
}

// spend spends a key, and notes others behind it: a crash that loses the key
// loses them too.
func (s *Spent) spend(ctx context.Context, epoch uint64, key [32]byte, notes ...[32]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	b, err := s.enqueueLocked(epoch, append([][32]byte{key}, notes...))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return b.wait(ctx)
}

// enqueueLocked puts keys, the first of which is the token's, into the queue.
func (s *Spent) enqueueLocked(number uint64, keys [][32]byte) (*batch, error) {
	if err := s.refusalLocked(number); err != nil {
		return nil, err
	}
	e := s.epochs[number]
	if e != nil && e.has(keys[0]) {
		return nil, ErrSpent
	}
	if s.count+len(keys) > s.config.Limit || e == nil && len(s.epochs) >= maxEpochs {
		return nil, ErrFull
	}
	if len(s.queue.entries) >= s.config.Queue {
		return nil, ErrBusy
	}
	if e == nil {
		e = &epoch{number: number, keys: make(map[[32]byte]struct{})}
		s.epochs[number] = e
	}
	for _, k := range keys {
		e.keys[k] = struct{}{}
		s.queue.entries = append(s.queue.entries, entry{e, k})
	}
	s.count += len(keys)
	s.more.Signal()
	return s.queue, nil
}

// refusalLocked says why nothing of an epoch is taken now.
func (s *Spent) refusalLocked(number uint64) error {
	switch {
	case s.closed:
		return ErrClosed
	case s.broken != nil:
		return s.broken
	case number < s.floor:
		return ErrEpochOver
	}
	return nil
}

// confirm returns nil when a key is durably in the set, ErrSpent when it is
// not in it at all.
func (s *Spent) confirm(ctx context.Context, number uint64, key [32]byte) error {
	s.mu.Lock()
	if err := s.refusalLocked(number); err != nil {
		s.mu.Unlock()
		return err
	}
	if e := s.epochs[number]; e == nil || !e.has(key) {
		s.mu.Unlock()
		return ErrSpent
	}
	// The key may still be under way; what is queued now is written after it.
	b := s.queue
	b.flush = true
	s.more.Signal()
	s.mu.Unlock()
	return b.wait(ctx)
}

// Forget drops all epochs before the one given and deletes their files. Their
// tokens are refused with ErrEpochOver from now on, also after a restart.
func (s *Spent) Forget(ctx context.Context, before uint64) error {
	s.mu.Lock()
	if err := s.refusalLocked(max(before, s.floor)); err != nil || before <= s.floor {
		s.mu.Unlock()
		return err
	}
	s.floor = before
	b := s.queue
	b.floor = before
	for number, e := range s.epochs {
		if number < before {
			s.count -= len(e.keys)
			delete(s.epochs, number)
			b.over = append(b.over, e)
		}
	}
	s.more.Signal()
	s.mu.Unlock()
	return b.wait(ctx)
}

// Len returns how many keys the set has.
func (s *Spent) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Close writes what still waits, and seals the files: damage to a sealed file
// is found when it is opened, wherever it is.
func (s *Spent) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.more.Signal()
		s.mu.Unlock()
		<-s.stopped
		s.closeErr = errors.Join(s.sealFiles(), s.lock.Close())
	})
	return s.closeErr
}
