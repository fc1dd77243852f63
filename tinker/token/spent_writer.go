package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// A disk is how a spent set writes. Tests put a failing one in its place.
type disk struct {
	write func(f *os.File, b []byte, offset int64) (int, error)
	sync  func(f *os.File) error
}

// A batch is what the writer writes with one sync of each file. While it does,
// the next batch fills up: the more calls there are, the more share a sync.
type batch struct {
	entries []entry
	flush   bool     // somebody waits for the batches before this one
	floor   uint64   // if not 0, epochs below it end
	over    []*epoch // the epochs that end

	done chan struct{} // closed when err is set
	err  error
}

type entry struct {
	epoch *epoch
	key   [32]byte
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (b *batch) empty() bool { return len(b.entries) == 0 && !b.flush && b.floor == 0 }

func (b *batch) wait(ctx context.Context) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the spent set to be written: %w", ctx.Err())
	}
}

// writer writes batches until the set is closed and nothing waits.
func (s *Spent) writer() {
	defer close(s.stopped)
	for {
		b, err := s.next()
		if b == nil {
			return
		}
		if err == nil {
			err = s.writeBatch(b)
		}
		if err != nil {
			b.err = errors.Join(s.fail(err), closeFiles(b.over))
		} else {
			b.err = deleteFiles(b.over)
		}
		close(b.done)
	}
}

// next returns the next batch once there is one, or nil when there will be
// none any more, and why it must not be written.
func (s *Spent) next() (*batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.queue.empty() {
		if s.closed {
			return nil, nil
		}
		s.more.Wait()
	}
	b := s.queue
	s.queue = newBatch()
	return b, s.broken
}

// fail ends the set. After a failed sync nobody knows what is on the disk, and
// trying again would say that all was well: the kernel reports an error once.
func (s *Spent) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = fmt.Errorf("the spent set takes nothing more after an error: %w: mend the disk and open it again", err)
	}
	return s.broken
}

// writeBatch makes a batch durable.
func (s *Spent) writeBatch(b *batch) error {
	var files []*epoch
	for _, e := range b.entries {
		if e.epoch.waiting == nil {
			files = append(files, e.epoch)
		}
		e.epoch.waiting = append(e.epoch.waiting, e.key)
	}
	for _, e := range files {
		if err := e.write(s.dir, s.disk); err != nil {
			return err
		}
	}
	if b.floor != 0 {
		return writeFloor(s.dir, s.disk, b.floor)
	}
	return nil
}

// deleteFiles deletes the files of epochs that are over.
func deleteFiles(over []*epoch) error {
	err := closeFiles(over)
	for _, e := range over {
		if e.file != nil {
			err = errors.Join(err, os.Remove(e.file.Name()))
		}
	}
	return err
}

func closeFiles(epochs []*epoch) error {
	var err error
	for _, e := range epochs {
		if e.file != nil {
			err = errors.Join(err, e.file.Close())
		}
	}
	return err
}

// sealFiles ends and closes all files. The writer must have ended.
func (s *Spent) sealFiles() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, e := range s.epochs {
		if e.file != nil && s.broken == nil {
			err = errors.Join(err, e.seal(s.disk))
		}
	}
	return errors.Join(err, closeFiles(slices.Collect(maps.Values(s.epochs))))
}
