package client_test

import (
	"fmt"
	"testing"

	"safing/port17/client"
	"safing/port17/route"
	"safing/port17/testnet"
)

// BenchmarkFirstByte measures from dialling to the first byte of the answer: on
// a circuit that is in use, on one that was built ahead, and on one that is
// built by the request.
func BenchmarkFirstByte(b *testing.B) {
	n := testnet.Start(b, 7)
	to := echo(b)
	for _, level := range []route.Level{route.Normal, route.High} {
		for _, kind := range []string{"in use", "ahead", "fresh"} {
			b.Run(fmt.Sprintf("%v/%s", level, kind), func(b *testing.B) {
				ahead := -1
				if kind == "ahead" {
					ahead = 2
				}
				c := startWith(b, client.Config{Network: n.Trust, State: b.TempDir(), Ahead: ahead})
				r := client.Request{Addr: to, App: "bench", Level: level}
				get := func() {
					conn, err := c.Dial(b.Context(), r)
					if err != nil {
						b.Fatal(err)
					}
					say(b, conn, "x")
					conn.Close()
				}
				get()
				for i := 0; b.Loop(); i++ {
					if kind != "in use" {
						r.Isolation = fmt.Sprint(i)
					}
					if kind == "ahead" {
						b.StopTimer()
						awaitCircuits(b, c, "none is built ahead", func(v []client.CircuitView) bool { return len(inState(v, "ahead")) > 0 })
						b.StartTimer()
					}
					get()
				}
			})
		}
	}
}
