package link

import (
	"fmt"
	"os"
	"time"

	"safing/port17/cell"
	"safing/tinker"
)

// A writer seals records and sends them. Only who has set schedule.busy uses it.
type writer struct {
	sealer *tinker.Sealer
	key    byte
	socket *socket // nil where only the writer's goroutine may write

	batch [MaxCells]*cell.Buf
	next  *tinker.Sealer // for the batch and what comes behind it, if not nil
	step  *tinker.Step   // to be sealed with the batch

	left  []byte // of a record, in its block, that was not sent
	block *cell.Block
	cells int // in the record
	size  int // of it, in bytes
}

// turns is how many records are written by who has pushed cells, before the
// writer's goroutine goes on: a reader has other circuits to serve.
const turns = 4

// write is the writer's goroutine: it seals and sends what the schedule gives
// it, whenever nobody else does.
func (l *Link) write() {
	w := &l.writer
	for {
		n, ok := l.await()
		if !ok {
			return
		}
		if n > 0 {
			if err := l.seal(n); err != nil {
				l.fail(err)
				return
			}
		}
		l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := l.conn.Write(w.left); err != nil {
			l.fail(fmt.Errorf("write record: %w", bare(err)))
			return
		}
		l.written()
	}
}

// turnLocked takes the turn to write, if whoever has pushed cells can. Otherwise
// it wakes the goroutine, unless somebody writes already, who will find them.
func (l *Link) turnLocked() bool {
	if l.out.busy {
		return false
	}
	if l.writer.socket == nil || l.writer.left != nil || l.out.ended {
		l.out.wake.Signal()
		return false
	}
	l.out.busy = true
	return true
}

// flush writes what has been queued, without waiting for the socket: what that
// does not take, and what is queued after some records, is left to the
// goroutine. The caller has set busy.
func (l *Link) flush() {
	for range turns {
		l.out.mu.Lock()
		n := l.nextLocked()
		if n == 0 {
			l.out.busy = false
			if l.out.finish || l.out.ended {
				l.out.wake.Signal() // the goroutine waits for the turn
			}
			l.out.mu.Unlock()
			return
		}
		l.out.mu.Unlock()
		whole, err := l.writeNow(n)
		if err != nil {
			l.fail(err)
		}
		if !whole {
			break
		}
	}
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	l.out.busy = false
	l.out.wake.Signal()
}

// writeNow sends the first n cells of the batch, as far as the socket has room,
// and says whether it had.
func (l *Link) writeNow(n int) (whole bool, err error) {
	if err := l.seal(n); err != nil {
		return false, err
	}
	w := &l.writer
	sent, err := w.socket.write(w.left)
	if err != nil {
		return false, fmt.Errorf("write record: %w", bare(err))
	}
	if sent < len(w.left) {
		w.left = w.left[sent:]
		return false, nil
	}
	l.written()
	return true, nil
}

// written counts the record that was sent, and gives its block back. The
// goroutine waits there when the link's rate asks for it; nobody else writes
// then.
func (l *Link) written() {
	w := &l.writer
	l.config.Pool.PutBlock(w.block)
	w.left, w.block = nil, nil
	l.passed(&l.sent, w.cells, w.size, l.config.SendRate)
}

// seal makes a record of the first n cells of the batch.
func (l *Link) seal(n int) error {
	w := &l.writer
	b := l.config.Pool.GetBlock()
	out := b[:0]
	if w.next != nil {
		var err error
		if out, err = endEarly(out, w.sealer); err != nil {
			return err
		}
		w.sealer.Close()
		w.sealer, w.key, w.next = w.next, keySession, nil
	}
	record := b[len(out) : len(out)+recordHeader+n*cell.Size+tinker.LayerOverhead]
	w.left, w.block = b[:len(out)+len(record)], b
	record[0], record[1] = w.key, byte(n)
	for i, c := range w.batch[:n] {
		copy(record[recordHeader+1+i*cell.Size:], c[:])
	}
	l.config.Pool.PutAll(w.batch[:n])
	if err := seal(w.sealer, record[recordHeader:], w.step); err != nil {
		return fmt.Errorf("seal record: %w", err)
	}
	w.step, w.cells, w.size = nil, n, len(w.left)
	l.moved.Add(int64(n))
	return nil
}

// endEarly appends the record that says that nothing more comes under the
// early key.
func endEarly(dst []byte, early *tinker.Sealer) ([]byte, error) {
	dst, err := early.SealTo(append(dst, keyEarly, 0), nil, recordEnd)
	if err != nil {
		return nil, fmt.Errorf("seal record: %w", err)
	}
	return dst, nil
}

func seal(s *tinker.Sealer, record []byte, step *tinker.Step) error {
	if step != nil {
		return s.SealStep(record, recordCells, step)
	}
	return s.Seal(record, recordCells)
}

// nextLocked moves the next cells to the batch, and the keys that are to be used
// from them on.
func (l *Link) nextLocked() int {
	w, out := &l.writer, &l.out
	n := out.takeLocked(w.batch[:], l.config.Pool, l.legs.remove)
	if n > 0 {
		w.next, out.sealer = out.sealer, nil
		w.step, out.step = out.step, nil
	}
	return n
}

// await waits for cells, or for what is left of a record, and takes the turn to
// write. It says whether the link is still there.
func (l *Link) await() (n int, ok bool) {
	out := &l.out
	out.mu.Lock()
	defer out.mu.Unlock()
	out.busy = false
	for {
		if out.ended && !out.busy {
			return 0, false // and nobody seals any more
		}
		if !out.busy {
			if l.writer.left == nil {
				n = l.nextLocked()
			}
			if n > 0 || l.writer.left != nil {
				out.busy = true
				return n, true
			}
			if out.finish && l.finisher == nil {
				out.busy = true
				l.shutLocked()
				out.busy = false
				continue
			}
		}
		out.wake.Wait()
	}
}

// A closeWriter is a connection of which one direction can end alone.
type closeWriter interface{ CloseWrite() error }

// shutLocked says to the other side that nothing more comes. The reader ends
// the link when the other side has closed as well, or else the timer does: a
// deadline would move with every record that still comes.
func (l *Link) shutLocked() {
	l.finisher = time.AfterFunc(finishTimeout, func() {
		l.fail(fmt.Errorf("wait for the other side to close: %w", os.ErrDeadlineExceeded))
	})
	c, ok := l.conn.(closeWriter)
	if !ok {
		return
	}
	l.out.mu.Unlock() // it may have to wait until it can send
	c.CloseWrite()    //nolint:errcheck // the timer ends the link
	l.out.mu.Lock()
}

// drop gives back the cells that the link, which has ended, will not send. The
// reader calls it: it queues the last one itself, when the reply comes late.
func (l *Link) drop() {
	var some [MaxCells]*cell.Buf
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	for l.out.control.n > 0 {
		l.config.Pool.PutAll(some[:l.out.control.pop(some[:])])
	}
}
