package probe_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/probe"
)

// Only what an exit does on purpose is its misdeed.
func TestBlame(t *testing.T) {
	for _, test := range []struct {
		err error
		bad bool
	}{
		{nil, false},
		{probe.ErrAltered, true},
		{&tls.CertificateVerificationError{Err: probe.ErrIntercepted}, true},
		{fmt.Errorf("read: %w", &stream.Error{Reason: cell.Policy}), true},
		{&stream.Error{Reason: cell.ExitFull}, false},
		{&stream.Error{Reason: cell.TimedOut}, false},
		{&circuit.Error{Reason: cell.LinkBroken}, false},
		{io.ErrUnexpectedEOF, false},
	} {
		got := probe.Blame(t.Context(), test.err)
		if bad := probe.IsMisdeed(got); bad != test.bad || test.err != nil && !bad && !errors.Is(got, test.err) {
			t.Errorf("%v: %v, a misdeed: %v, want %v", test.err, got, bad, test.bad)
		}
	}
}
