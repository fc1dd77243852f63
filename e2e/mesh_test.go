package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"safing/internal/netns"
	"safing/internal/wan"
	"safing/netmap"
	"safing/port17/directory"
)

// A meshNet is nodes in namespaces of their own, as a client's map shows them.
type meshNet struct {
	t     *testing.T
	wan   *wan.Switch
	trust string // path of the network's file
	geo   string // path of a location database
	dir   string
	at    []netip.Addr // of nodes
	ids   []netmap.NodeID
	nodes []*exec.Cmd
	hosts []*netns.Namespace // of nodes
	maps  chan *netmap.Map
}

const oneWay = 10 * time.Millisecond // of links between hosts

// Where the nodes are.
var meshCountries = []string{"DE", "FR", "NL", "SE", "US", "JP", "BR", "IS"}

const meshASN = 64512 // of the first node, the next one for the next

var meshAuthority = netip.MustParseAddr("10.1.0.1")

// startMesh starts an authority and nodes.
func startMesh(t *testing.T, nodes int) *meshNet {
	t.Helper()
	needs(t)
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	m := &meshNet{t: t, wan: wan.New(wan.Link{Delay: oneWay}, 1), dir: t.TempDir(), maps: make(chan *netmap.Map, 1)}
	t.Cleanup(m.wan.Close)
	host := m.host(meshAuthority)
	m.trust, m.geo = filepath.Join(m.dir, "network.toml"), filepath.Join(m.dir, "geo.tsv")
	var places strings.Builder
	for i, country := range meshCountries {
		fmt.Fprintf(&places, "10.%d.0.0\t10.%d.255.255\t%d\t%s\n", 10+i, 10+i, meshASN+i, country)
	}
	if err := os.WriteFile(m.geo, []byte(places.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	url, state := "http://"+meshAuthority.String()+":8120", filepath.Join(m.dir, "authority")
	if out, err := exec.Command(bin("port17"), "authority", "init", "--network", "mesh", "--url", url, "--private-addresses", "--state", state, "--out", m.trust).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.start(host, "authority", "authority", "run", "--state", state, "--listen", meshAuthority.String()+":8120")
	m.follow(host)
	for range nodes {
		m.join()
	}
	return m
}

func (m *meshNet) host(at netip.Addr) *netns.Namespace {
	m.t.Helper()
	host, err := m.wan.Add(at)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(host.Close)
	return host
}

// start runs port17 on the host, and returns once that says that it is ready.
func (m *meshNet) start(host *netns.Namespace, name string, args ...string) (cmd *exec.Cmd, ready string) {
	m.t.Helper()
	log, err := os.OpenFile(filepath.Join(m.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	cmd = exec.Command(bin("port17"), args...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := host.Do(cmd.Start); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
		if m.t.Failed() {
			b, _ := os.ReadFile(log.Name())
			m.t.Logf("%s:\n%s", name, b[max(0, len(b)-2000):])
		}
	})
	if ready, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		b, _ := os.ReadFile(log.Name())
		m.t.Fatalf("port17 %s: %v\n%s", strings.Join(args, " "), err, b)
	}
	return cmd, ready
}

// join starts one more node.
func (m *meshNet) join() {
	m.t.Helper()
	i := len(m.nodes)
	m.at = append(m.at, netip.AddrFrom4([4]byte{10, byte(10 + i), 0, 1}))
	m.ids, m.nodes = append(m.ids, netmap.NodeID{}), append(m.nodes, nil)
	m.hosts = append(m.hosts, m.host(m.at[i]))
	m.run(i)
}

// run starts the node.
func (m *meshNet) run(i int) {
	m.t.Helper()
	name := fmt.Sprint("node", i)
	cmd, ready := m.start(m.hosts[i], name, "node", "run", "--network", m.trust, "--state", filepath.Join(m.dir, name),
		"--listen", m.at[i].String()+":1717", "--name", name, "--owner", name, "--geo", m.geo)
	_, id, _ := strings.Cut(strings.TrimSpace(ready), "id=")
	var err error
	if m.ids[i], err = netmap.ParseNodeID(id); err != nil {
		m.t.Fatalf("%q: %v", ready, err)
	}
	m.nodes[i] = cmd
}

// follow has a client outside follow the map. Its connections come from the
// authority's host.
func (m *meshNet) follow(host *netns.Namespace) {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				var to net.Conn
				if host.Do(func() (err error) { to, err = net.Dial("tcp", meshAuthority.String()+":8120"); return err }) != nil {
					return
				}
				defer to.Close()
				go io.Copy(to, from) //nolint:errcheck // the other direction tells
				io.Copy(from, to)    //nolint:errcheck // the client tells
			}()
		}
	}()
	trust, err := netmap.LoadNetwork(m.trust)
	if err != nil {
		m.t.Fatal(err)
	}
	trust.Authorities[0].URL = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		directory.New(directory.Config{Network: trust}).Watch(ctx, func(newest *netmap.Map) { //nolint:errcheck // it ends with ctx
			select {
			case <-m.maps: // it was not looked at
			default:
			}
			m.maps <- newest
		})
	}()
	m.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// links returns how many others the map says that each node is linked to.
func (m *meshNet) links(on *netmap.Map) []int {
	links := make([]int, len(m.ids))
	for i, id := range m.ids {
		if at, ok := on.Index(id); ok {
			links[i] = len(on.Edges(at))
		}
	}
	return links
}

// await waits for a map that shows these links, and returns it.
func (m *meshNet) await(what string, within time.Duration, links ...int) *netmap.Map {
	m.t.Helper()
	began, late := time.Now(), time.After(within)
	var last []int
	for {
		select {
		case newest := <-m.maps:
			if last = m.links(newest); slices.Equal(last, links) {
				m.t.Logf("%s: on the map after %.1f s", what, time.Since(began).Seconds())
				return newest
			}
		case <-late:
			m.t.Fatalf("%s: after %v the nodes have %v links, want %v", what, within, last, links)
		}
	}
}

// cut parts the nodes below the count, which have the authority, from the rest.
func (m *meshNet) cut(count int, cut bool) {
	for _, b := range m.at[count:] {
		for _, a := range append([]netip.Addr{meshAuthority}, m.at[:count]...) {
			if cut {
				m.wan.Set(a, b, wan.Link{Loss: 1})
			} else {
				m.wan.Reset(a, b)
			}
		}
	}
}

// Nodes find each other and measure, and the map follows when one is killed,
// comes back or joins, and when the network falls apart and heals.
func TestMesh(t *testing.T) {
	m := startMesh(t, 6)
	on := m.await("six nodes start", patience, 5, 5, 5, 5, 5, 5)
	for i, n := range on.Nodes {
		for _, e := range on.Edges(i) {
			if e.RTT < 2*oneWay || e.RTT > 6*oneWay {
				t.Errorf("a link with a round trip of %v is published with %v", 2*oneWay, e.RTT)
			}
			for _, end := range []netmap.Node{n, on.Nodes[e.To]} {
				if !slices.Contains(e.ASNs, end.ASN) || !slices.Contains(e.Countries, end.Country) {
					t.Errorf("a link crosses AS %v and %v, not AS %d in %q, where it ends", e.ASNs, e.Countries, end.ASN, end.Country)
				}
			}
		}
	}
	m.usage(3)

	if err := m.nodes[2].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.await("one is killed", 10*time.Second, 4, 4, 0, 4, 4, 4)
	m.run(2)
	m.await("it comes back", patience, 5, 5, 5, 5, 5, 5)
	m.join()
	m.await("one joins", patience, 6, 6, 6, 6, 6, 6, 6)

	m.cut(4, true)
	m.await("the network falls apart", 2*patience, 3, 3, 3, 3, 2, 2, 2)
	m.cut(4, false)
	m.await("it is whole again", 4*patience, 6, 6, 6, 6, 6, 6, 6)
}

// usage logs what the node's process takes.
func (m *meshNet) usage(i int) {
	pid := m.nodes[i].Process.Pid
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") || strings.HasPrefix(line, "Threads") {
			m.t.Log(strings.Join(strings.Fields(line), " "))
		}
	}
}
