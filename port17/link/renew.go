package link

import (
	"errors"
	"fmt"
	"time"

	"safing/port17/cell"
	"safing/tinker"
)

// The initiator renews a link's keys after five minutes, or when four
// gigabytes have moved, but not more often than every two seconds. The
// responder puts up with one second.
const (
	renewEvery = 5 * time.Minute
	renewCells = 4 << 30 / cell.Size
	renewLeast = 2 * time.Second
)

// limits are those of a link's session.
func limits() tinker.Limits {
	return tinker.Limits{Life: 24 * time.Hour, Root: 30 * time.Minute, RootBytes: 64 << 30}
}

// renew counts cells that came, and offers a step of the ratchet when it is
// time. Pings see to it that something comes. The reader calls it.
func (l *Link) renew(cells int) {
	moved := l.moved.Add(int64(cells))
	if !l.initiator {
		return
	}
	since := time.Since(l.renewed)
	if since < renewLeast || since < renewEvery && moved < renewCells || !l.out.room() {
		return
	}
	suite, err := l.nextSuite()
	if err != nil {
		l.fail(fmt.Errorf("renew keys: %w", err))
		return
	}
	offer, err := l.session.Offer(suite)
	if err != nil {
		return // the last one is under way; the session's limits end the link
	}
	l.startPeriod()
	if b := l.stepCell(offer); !l.out.send(b) {
		l.config.Pool.Put(b)
		l.fail(errors.New("renew keys: too many of the link's own cells wait"))
	}
}

// nextSuite returns to which suite the session is to step.
func (l *Link) nextSuite() (tinker.SuiteID, error) {
	if l.config.Policies == nil {
		return l.session.Suite(), nil
	}
	return l.config.Policies.Next(l.session.Suite())
}

// mayStep says whether the session may step to the suite that the initiator
// offers; nil lets it stay with its own.
func (l *Link) mayStep() func(from, to tinker.SuiteID) error {
	if l.config.Policies == nil {
		return nil
	}
	return l.config.Policies.Step
}

func (l *Link) startPeriod() {
	l.renewed = time.Now()
	l.moved.Store(0)
}

// stepCell holds a message of the ratchet.
func (l *Link) stepCell(message []byte) *cell.Buf {
	b := l.config.Pool.Get()
	cell.Header{Command: cell.Step}.Put(b[:])
	tinker.PutStep(b[cell.HeaderSize:], message)
	return b
}

// receiveStep takes the initiator's offer, or the responder's answer.
func (l *Link) receiveStep(payload []byte) error {
	message, err := tinker.ParseStep(payload)
	if err != nil {
		return err
	}
	if l.early {
		return errors.New("a step comes too early")
	}
	if l.initiator {
		step, err := l.session.Complete(message)
		if err != nil {
			return err
		}
		l.out.ratchet(step, l.stepCell(nil))
		return nil
	}
	if len(message) == 0 {
		return nil // the initiator has changed
	}
	if time.Since(l.renewed) < renewLeast/2 {
		return errors.New("the initiator wants new keys too often")
	}
	l.startPeriod()
	step, err := l.session.Accept(message, l.mayStep())
	if err != nil {
		return err
	}
	l.out.ratchet(step, l.stepCell(step.Message))
	return nil
}
