package node_test

import (
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/testnet"
)

// An ending notes why a circuit has ended.
type ending chan cell.Reason

func (ending) Receive([]byte)                  {}
func (e ending) Closed(r cell.Reason, _ uint8) { e <- r }

func (e ending) want(t *testing.T, want cell.Reason) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Errorf("the circuit ended: %s, want %s", got, want)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("the circuit did not end, want %s", want)
	}
}

// A burst that never becomes whole is held until the next one begins, and no
// longer: first cells cost their sender little and the node a whole burst.
func TestHalfBursts(t *testing.T) {
	l, _ := route(t, testnet.Start(t, 2), 0, 1)
	begin := func(cells int) ending {
		t.Helper()
		var burst []*cell.Buf
		for range cells {
			b := l.Pool().Get()
			clear(b[:])
			burst = append(burst, b)
		}
		end := make(ending, 1)
		if _, err := l.Open(end, burst); err != nil {
			t.Fatal(err)
		}
		return end
	}
	first, second := begin(1), begin(cell.BurstCells-1)
	first.want(t, cell.Protocol)
	whole := begin(cell.BurstCells)
	second.want(t, cell.Protocol)
	whole.want(t, cell.BadHello)
	begin(1)
	select {
	case <-l.Done():
		t.Error("the link ended:", l.Err())
	default:
	}
}
