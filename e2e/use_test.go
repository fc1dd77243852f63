package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testUse reports what each node uses.
func (m *federation) testUse(t *testing.T) {
	use := make(map[string][]float64)
	for _, n := range m.nodes {
		select {
		case <-n.ended:
			continue
		default:
		}
		values, err := m.metrics(n)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range values {
			use[name] = append(use[name], v)
		}
	}
	for _, of := range []struct {
		name, what string
		unit       float64
	}{
		{"process_resident_memory_bytes", "MB of memory", 1e6},
		{"go_memstats_heap_inuse_bytes", "MB of heap", 1e6},
		{"go_goroutines", "goroutines", 1},
		{"process_open_fds", "files", 1},
		{"port17_neighbours", "neighbours", 1},
		{"process_cpu_seconds_total", "s of CPU time since its start", 1},
	} {
		v := use[of.name]
		if len(v) == 0 {
			t.Errorf("no node has the metric %s", of.name)
			continue
		}
		slices.Sort(v)
		t.Logf("a node has %.1f %s (median of %d nodes; from %.1f to %.1f)", v[len(v)/2]/of.unit, of.what, len(v), v[0]/of.unit, v[len(v)-1]/of.unit)
	}
}

// metrics reads those of a node that have no labels.
func (m *federation) metrics(n *member) (map[string]float64, error) {
	var conn net.Conn
	err := m.hosts[placeAddr(n.place, 0)].Do(func() (err error) { conn, err = net.Dial("tcp", n.metrics); return err })
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // it has one
	fmt.Fprint(conn, "GET /metrics HTTP/1.0\r\n\r\n")
	b, err := io.ReadAll(conn)
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64)
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		name, text, _ := strings.Cut(s.Text(), " ")
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			values[name] = v
		}
	}
	return values, nil
}
