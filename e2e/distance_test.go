package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/internal/socks"
	"safing/internal/wan"
	"safing/port17/client"
)

// streamsOfCircuit is how many connections a client has on one circuit.
const streamsOfCircuit = 200

// startTells starts a destination that says from where it was connected to, as soon as
// it was asked.
func startTells(e *estate) netip.AddrPort {
	at := netip.AddrPortFrom(serverHost, 443)
	l := e.listen(at)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
					io.WriteString(conn, conn.RemoteAddr().(*net.TCPAddr).IP.String()+"\n") //nolint:errcheck // who asks sees what comes
				}
				io.Copy(io.Discard, conn) //nolint:errcheck // it lasts as long as who asked wants
			}()
		}
	}()
	return at
}

// asked is a connection whose destination has said from where it came.
type asked struct {
	net.Conn
	exit netip.Addr
	took time.Duration
}

// askWhence asks the destination through the proxy. The connection stays open.
func askWhence(t *testing.T, e *estate, proxy string, to netip.AddrPort) (a asked, err error) {
	if err := e.hosts[clientHost].Do(func() (err error) { a.Conn, err = net.Dial("tcp", proxy); return err }); err != nil {
		return a, err
	}
	t.Cleanup(func() { a.Close() })
	a.SetDeadline(time.Now().Add(patience))
	if err := socks.Connect(a, "", to.String()); err != nil {
		return a, err
	}
	begun := time.Now()
	if _, err := a.Write([]byte("?")); err != nil {
		return a, err
	}
	b := make([]byte, 64)
	n, err := a.Read(b)
	if err != nil {
		return a, err
	}
	a.took = time.Since(begun)
	a.exit, err = netip.ParseAddr(strings.TrimSpace(string(b[:n])))
	return a, err
}

// askAll asks as often as count says, all at once.
func askAll(t *testing.T, e *estate, proxy string, to netip.AddrPort, count int) []asked {
	t.Helper()
	all, errs := make([]asked, count), make([]error, count)
	var running sync.WaitGroup
	for i := range count {
		running.Go(func() { all[i], errs[i] = askWhence(t, e, proxy, to) })
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return all
}

// await runs port17 with --json on the client's host until what it prints is as
// wanted.
func (e *estate) await(what string, wanted func(out []byte) bool, args ...string) {
	e.t.Helper()
	late := time.After(patience)
	args = append(args, "--json", "--socket", filepath.Join(e.dir, "client", "client.sock"))
	for {
		out, err := exec.Command(bin("port17"), args...).Output()
		if err == nil && wanted(out) {
			return
		}
		select {
		case <-late:
			e.t.Fatalf("%s: not within %v (%v):\n%s", what, patience, err, out[:min(len(out), maxLog)])
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// linked says whether the map has so many nodes, each linked to all others.
func linked(nodes int) func(out []byte) bool {
	return func(out []byte) bool {
		var m client.MapView
		return json.Unmarshal(out, &m) == nil && len(m.Nodes) == nodes &&
			!slices.ContainsFunc(m.Nodes, func(n client.NodeView) bool { return len(n.Links) != nodes-1 })
	}
}

// A client of whose destination nothing is known takes the exit to which the way
// is shortest. That is far from the destination, as it learns; so its next
// circuit ends at the other exit, and answers come sooner.
func TestExitNearDestination(t *testing.T) {
	const nodes, far, near = 5, 3, 4
	e := newEstate(t, wan.Link{Delay: 5 * time.Millisecond})
	e.exits = 2
	proxy := e.network(nodes, func() {
		e.wan.Set(nodeHost(far), serverHost, wan.Link{Delay: 120 * time.Millisecond})
		e.wan.Set(nodeHost(near), serverHost, wan.Link{Delay: time.Millisecond})
		for i := range nodes - 1 {
			e.wan.Set(nodeHost(i), nodeHost(near), wan.Link{Delay: 40 * time.Millisecond})
		}
	})
	e.await("all nodes are linked", linked(nodes), "map")
	to := startTells(e)

	ask := func(count int, exit int) (least time.Duration) {
		t.Helper()
		for _, a := range askAll(t, e, proxy, to, count) {
			if a.exit != nodeHost(exit) {
				t.Fatalf("a connection comes from %v, want %v", a.exit, nodeHost(exit))
			}
			if least == 0 || a.took < least {
				least = a.took
			}
		}
		return least
	}
	first := ask(1, far)
	open := 1
	var before time.Duration // through the circuit that is built
	e.await("the next route ends near the destination", func(out []byte) bool {
		var v client.RouteView
		if json.Unmarshal(out, &v) == nil && v.Route[len(v.Route)-1].Name == fmt.Sprint("node", near) && open > 1 {
			return true
		}
		before, open = ask(1, far), open+1 // the one before came too late to go along with its target
		return false
	}, "route", to.String(), "--app", proxy)
	ask(streamsOfCircuit-open, far)
	next := ask(1, near)
	after := ask(1, near)
	t.Logf("an answer takes %v at first and then %v; with another circuit %v and %v", first, before, next, after)
	if after > before*2/3 {
		t.Errorf("an answer takes %v, and took %v through the exit that is far away", after, before)
	}
}
