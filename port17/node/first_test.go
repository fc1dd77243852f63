package node_test

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"safing/port17/circuit"
	"safing/port17/testnet"
)

// What came with the hello comes before what was sent once the exit's reply was
// there, however soon that arrives.
func TestEarlyDataComesFirst(t *testing.T) {
	n := testnet.Start(t, 2)
	server, _ := echo(t)
	l, hops := n.Route(t, 1)
	to := target(server)
	var running sync.WaitGroup
	for i := range 300 {
		running.Go(func() {
			early, later := fmt.Sprint("early ", i), fmt.Sprint(" later ", i)
			c, s, err := circuit.Dial(l, hops, &to, []byte(early), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(s, later)
			s.CloseWrite()
			if got, err := io.ReadAll(s); err != nil || string(got) != early+later {
				t.Errorf("%q came back, %v, want %q", got, err, early+later)
			}
		})
	}
	running.Wait()
}
