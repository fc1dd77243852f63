package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childLoop connects to address again and again until its input ends, then
// counts how often that went well and how often it was refused.
func childLoop(address string) {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	permitted, denied := 0, 0
	for {
		select {
		case <-ended:
			fmt.Printf("end %d %d\n", permitted, denied)
			return
		default:
		}
		c, err := net.Dial("tcp", address)
		switch {
		case err == nil:
			permitted++
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		case errors.Is(err, syscall.EPERM):
			denied++
		default:
			fmt.Println(err)
			return
		}
		if permitted+denied == 1 {
			fmt.Println("begun")
		}
	}
}

// childGuard guards a cgroup, permits everything in 127.0.0.0/8 and waits to
// be killed.
func childGuard(rest string) {
	cgroup, pinDir, _ := strings.Cut(rest, " ")
	dead := netip.MustParseAddrPort("127.0.0.1:9")
	g, err := Load(Config{Cgroup: cgroup, PinDir: pinDir, Resolver4: dead, Gateway4: dead})
	if err == nil {
		cases := []Case{{PortHigh: 65535, Action: Permit}}
		err = g.SetPolicy(0, []Entry{{netip.MustParsePrefix("127.0.0.0/8"), cases}})
	}
	if err == nil {
		err = errors.New("ready")
	}
	fmt.Println(err)
	io.Copy(io.Discard, os.Stdin)
}

// childHidden guards a cgroup on a machine whose kernel does not describe its
// types, or looks for cgroups where none are mounted, and says what is wrong.
func childHidden(cgroup string) {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	switch {
	case err != nil:
	case cgroup != "":
		if err = unix.Mount("none", "/sys/kernel/btf", "tmpfs", 0, ""); err == nil {
			_, err = Load(Config{Cgroup: cgroup})
		}
	default:
		var mounted string
		for err == nil {
			if mounted, err = CgroupMount(); err == nil {
				err = unix.Unmount(mounted, unix.MNT_DETACH)
			}
		}
	}
	fmt.Println(err)
}

// childExempt guards the cgroup in which it is, and connects.
func childExempt(rest string) {
	cgroup, address, _ := strings.Cut(rest, " ")
	g, err := Load(Config{Cgroup: cgroup})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	_, err = net.Dial("tcp", address)
	fmt.Println("itself:", err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"=tcp 4 "+address)
	out, err := cmd.Output()
	fmt.Println("its child:", err, strings.Contains(string(out), "EPERM"))
}

// A running child is spoken to over its input and output.
type running struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts cmd in the stage's namespace, and waits for its first line,
// which must be first.
func (s *stage) start(cmd *exec.Cmd, first string) running {
	s.t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.do(cmd.Start)
	r := running{cmd, in, bufio.NewReader(out)}
	s.t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line := r.line(s.t); line != first {
		s.t.Fatalf("child says %q, want %q", line, first)
	}
	return r
}

func (r running) line(t testing.TB) string {
	t.Helper()
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// counts ends a childLoop.
func (r running) counts(t testing.TB) (permitted, denied int) {
	t.Helper()
	r.in.Close()
	if _, err := fmt.Sscanf(r.line(t), "end %d %d", &permitted, &denied); err != nil {
		t.Fatal(err)
	}
	return permitted, denied
}

// copyFile has another process write the copy: what this one had open for
// writing, a child that is being started might hold open for a moment, and
// nobody could run it then.
func copyFile(t testing.TB, from, to string) string {
	t.Helper()
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}
