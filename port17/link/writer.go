package link

import (
	"fmt"
	"os"
	"time"

	"safing/port17/cell"
	"safing/tinker"
)

// write is the writer: it seals and sends what the schedule gives it.
func (l *Link) write(sealer *tinker.Sealer) {
	key := byte(keyEarly)
	if !l.initiator {
		key = keySession
	}
	var batch [MaxCells]*cell.Buf
	for {
		n, next, step := l.take(&batch)
		if n == 0 {
			return
		}
		b := l.config.Pool.GetBlock()
		out := b[:0]
		if next != nil {
			var err error
			if out, err = endEarly(out, sealer); err != nil {
				l.fail(err)
				return
			}
			sealer.Close()
			sealer, key = next, keySession
		}
		record := b[len(out) : len(out)+recordHeader+n*cell.Size+tinker.LayerOverhead]
		out = b[:len(out)+len(record)]
		record[0], record[1] = key, byte(n)
		for i, c := range batch[:n] {
			copy(record[recordHeader+1+i*cell.Size:], c[:])
		}
		l.config.Pool.PutAll(batch[:n])
		if err := seal(sealer, record[recordHeader:], step); err != nil {
			l.fail(fmt.Errorf("seal record: %w", err))
			return
		}
		l.moved.Add(int64(n))
		l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := l.conn.Write(out); err != nil {
			l.fail(fmt.Errorf("write record: %w", bare(err)))
			return
		}
		l.config.Pool.PutBlock(b)
		l.passed(&l.sent, n, len(out), l.config.SendRate)
	}
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

// take waits for cells. It returns none when the link has ended.
func (l *Link) take(batch *[MaxCells]*cell.Buf) (n int, sealer *tinker.Sealer, step *tinker.Step) {
	out := &l.out
	out.mu.Lock()
	defer out.mu.Unlock()
	for {
		if out.ended {
			return 0, nil, nil
		}
		n = out.takeLocked(batch[:], l.config.Pool, l.legs.remove)
		if n > 0 {
			sealer, out.sealer = out.sealer, nil
			step, out.step = out.step, nil
			return n, sealer, step
		}
		if out.finish && l.finisher == nil {
			l.shutLocked()
			continue
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
