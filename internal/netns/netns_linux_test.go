package netns

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
)

func TestNamespaceIsSeparate(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()

	var inside net.Listener
	err = n.Do(func() error {
		var err error
		inside, err = net.Listen("tcp", "127.77.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()

	if c, err := net.Dial("tcp", inside.Addr().String()); err == nil {
		c.Close()
		t.Error("the namespace's listener answers outside it")
	}
	err = n.Do(func() error {
		c, err := net.Dial("tcp", inside.Addr().String())
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		t.Errorf("dial inside: %v", err)
	}
}

func TestCommandsStartInside(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var out []byte
	err = n.Do(func() error {
		var err error
		out, err = exec.Command("cat", "/proc/net/dev").Output()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if entered, err := exec.Command("nsenter", "--net="+n.Path(), "cat", "/proc/net/dev").Output(); err != nil || string(entered) != string(out) {
		t.Errorf("a command that enters by the path sees %q, %v, want %q", entered, err, out)
	}
	if got := strings.Count(string(out), ":"); got != 1 {
		t.Errorf("a command inside sees %d devices, want the loopback alone:\n%s", got, out)
	}
}

func TestDoReturnsTheError(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	want := errors.New("inner")
	if err := n.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
