package link

import (
	"errors"
	"io"
	"os"

	"safing/port17/cell"
	"safing/tinker"
)

// A blamed error knows that it is the other side's fault, and which.
type blamed struct {
	error
	reason cell.Reason
}

func (b blamed) Unwrap() error { return b.error }

// Reason sorts the errors of links: those with which they have ended, and those
// of Accept.
func Reason(err error) cell.Reason {
	var b blamed
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, io.EOF):
		return cell.Finished
	case errors.Is(err, tinker.ErrExpired):
		return cell.Expired
	case errors.As(err, new(*tinker.RetryError)):
		return cell.UnknownPrekey
	case HelloReason(err) != cell.BadHello:
		return HelloReason(err)
	case errors.As(err, &b):
		return b.reason
	case errors.Is(err, tinker.ErrDecrypt):
		return cell.Altered
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cell.TimedOut
	}
	return cell.LinkBroken
}

// HelloReason sorts the errors with which prekeys refuse hellos. What is none of
// theirs is a bad hello.
func HelloReason(err error) cell.Reason {
	switch {
	case errors.Is(err, tinker.ErrUnknownPrekey), errors.Is(err, tinker.ErrSuiteRefused):
		return cell.UnknownPrekey
	case errors.Is(err, tinker.ErrReplay):
		return cell.Replayed
	case errors.Is(err, tinker.ErrFull):
		return cell.Busy
	case errors.Is(err, tinker.ErrClosed):
		return cell.ShuttingDown
	}
	return cell.BadHello
}
