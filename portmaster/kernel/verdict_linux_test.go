package kernel

import (
	"testing"
)

func TestPermitAndDeny(t *testing.T) {
	s := newStage(t)
	s.load(Config{})
	server := s.listen("127.0.0.1:0", "server")
	if o := s.run("tcp 4 " + server.String()); o.Err != "EPERM" {
		t.Errorf("without a policy: %+v, want EPERM", o)
	}
	s.allow(everything(Permit, 1))
	if o := s.run("tcp 4 " + server.String()); o.Err != "" || o.Reply != "server" {
		t.Errorf("permitted: %+v", o)
	}
}
