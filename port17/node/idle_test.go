package node_test

import (
	"net"
	"runtime"
	"testing"

	"safing/port17/circuit"
	"safing/port17/testnet"
)

// What a stream that has been connected and is idle takes, at the origin and
// at the exit together.
func BenchmarkIdleStream(b *testing.B) {
	l, hops := testnet.Start(b, 2).Route(b, 0, 1)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	to := target(server.Addr().(*net.TCPAddr).AddrPort())
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	before := used()
	streams := 0
	for b.Loop() {
		if streams%200 == 199 {
			if c, _, err = circuit.Dial(l, hops, nil, nil, nil); err != nil {
				b.Fatal(err)
			}
		}
		s, err := c.Open(to, []byte("x"))
		if err != nil {
			b.Fatal(err)
		}
		conn, err := server.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		<-s.Opened()
		streams++
	}
	after := used()
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(streams), "heap-B/stream")
	b.ReportMetric(float64(after.StackInuse-before.StackInuse)/float64(streams), "stack-B/stream")
}

func used() runtime.MemStats {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
