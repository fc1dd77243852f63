package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"safing/internal/socks"
)

// startNet starts `lab net`, which the test's end stops, and returns what it
// prints.
func startNet(t *testing.T, args ...string) state {
	t.Helper()
	needs(t)
	cmd := exec.Command(bin("lab"), append([]string{"net", "--json", "--state", filepath.Join(t.TempDir(), "lab")}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended
		limit.Reset(patience)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("lab net: %v\n%s", err, &stderr)
		}
		limit.Stop()
	})
	var s state
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		t.Fatalf("lab net: %v\n%s", err, &stderr)
	}
	limit.Stop()
	return s
}

// A network with links that delay, lose and limit stands in namespaces that its
// description leads to.
func TestNetLinks(t *testing.T) {
	needs(t, "curl", "nsenter")
	s := startNet(t, "--nodes", "4", "--exits", "1", "--clients", "2", "--delay", "5ms", "--loss", "0.5%", "--rate", "100mbit", "--seed", "7")
	if s.Links.Delay != 5*time.Millisecond || s.Links.Loss != 0.005 || s.Links.Rate != 100e6 || s.Links.Seed != 7 {
		t.Errorf("links: got %+v", s.Links)
	}
	roles, exits, spaces := map[string]int{}, 0, map[string]bool{s.Server.Netns: true}
	var authority string
	for _, p := range s.Processes {
		roles[p.Role]++
		spaces[p.Netns] = true
		if p.Exit {
			exits++
		}
		if p.Role == "authority" {
			authority = p.Address
		}
	}
	if roles["node"] != 4 || roles["client"] != 2 || exits != 1 || len(spaces) != len(s.Processes)+1 {
		t.Errorf("processes: %v, %d exits, %d namespaces", roles, exits, len(spaces))
	}
	for _, p := range s.Processes {
		if p.Role != "client" {
			continue
		}
		begun := time.Now()
		out, err := exec.Command("nsenter", "--net="+p.Netns, "curl", "-sS", "-m", "30", "--socks5-hostname", p.Address, "http://"+authority+"/v1/health").CombinedOutput()
		if err != nil || string(out) != "ok\n" {
			t.Errorf("through %s: %v, %q", p.Name, err, out)
		}
		if took := time.Since(begun); took < 5*2*s.Links.Delay { // three links, to the destination and back twice
			t.Errorf("through %s: answered after %v, faster than the links", p.Name, took)
		}
	}
}

// through opens a connection through the network.
func through(proxy, to string) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	if err := socks.Connect(conn, "", to); err != nil {
		conn.Close()
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// forward listens for programs that know no proxies, and takes each connection
// through the network to an address.
func forward(t *testing.T, proxy, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := through(proxy, to)
				if err != nil {
					return // the program sees that its connection ends
				}
				defer out.Close()
				var both sync.WaitGroup
				both.Go(func() {
					io.Copy(out, in) //nolint:errcheck // its end is passed on
					out.CloseWrite() //nolint:errcheck // likewise
				})
				io.Copy(in, out)               //nolint:errcheck // likewise
				in.(*net.TCPConn).CloseWrite() //nolint:errcheck // likewise
				both.Wait()
			}()
		}
	}()
	return l.Addr().String()
}

// forwardPackets does it for datagrams, all to one address.
func forwardPackets(t *testing.T, proxy string, to net.Addr) string {
	t.Helper()
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := socks.ListenPacket(proxy, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	users := make(chan net.Addr, 1)
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := in.ReadFrom(b)
			if err != nil {
				return
			}
			select {
			case <-users:
			default:
			}
			users <- from
			out.WriteTo(b[:n], to) //nolint:errcheck // who asked asks again
		}
	}()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := out.ReadFrom(b)
			if err != nil {
				return
			}
			select {
			case user := <-users:
				in.WriteTo(b[:n], user) //nolint:errcheck // likewise
			default: // nobody has asked
			}
		}
	}()
	return in.LocalAddr().String()
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}
