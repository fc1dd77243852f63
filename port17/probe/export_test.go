package probe

import (
	"errors"
	"testing"
)

// What tests look at.
var (
	ErrAltered     = errAltered
	ErrIntercepted = errIntercepted
	Blame          = blame
	Partners       = fastFirst
)

// IsMisdeed says whether the error is an exit's misdeed.
func IsMisdeed(err error) bool {
	var m misdeed
	return errors.As(err, &m)
}

// ListenAddr is the first address on which the server listens.
func ListenAddr(s *Server) string { return s.listeners[0].Addr().String() }

// SetTargets says how exits reach the server.
func SetTargets(t *testing.T, s *Server, addresses ...string) {
	t.Helper()
	s.targets = nil
	for _, a := range addresses {
		to, err := parseTarget(a)
		if err != nil {
			t.Fatal(err)
		}
		s.targets = append(s.targets, to)
	}
}
