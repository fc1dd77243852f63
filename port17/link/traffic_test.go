package link_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"safing/port17/cell"
	"safing/port17/link"
)

// Links that share a limit move no more than it says, each way for itself, and
// count what they move.
func TestRates(t *testing.T) {
	const perSecond, records = 4 * link.MaxRecord, 41
	want := (records - 1) * time.Second / 4 // the first is the burst
	limit := func() *rate.Limiter { return rate.NewLimiter(perSecond, link.MaxRecord) }
	full := make([][]byte, link.MaxCells)
	for i := range full {
		full[i] = rawCell(0, cell.Padding, nil)
	}
	t.Run("receive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := link.Config{ReceiveRate: limit(), PingEvery: time.Hour}
			p, one := initiator(t, c)
			q, two := initiator(t, c)
			go p.drain()
			go q.drain()
			begun := time.Now()
			done := make(chan struct{})
			for _, p := range []*peer{p, q} {
				go func() {
					for range records / 2 {
						p.write(p.record(full...))
					}
					p.write(p.record(full[0])) // taken once the last is paid for
					done <- struct{}{}
				}()
			}
			<-done
			<-done
			if took := time.Since(begun); took < want-time.Second || took > want {
				t.Errorf("it took %v, want %v", took, want)
			}
			synctest.Wait()
			both := one.Traffic()
			both.Add(two.Traffic())
			if cells := uint64(2 * (records/2*link.MaxCells + 1)); both.CellsReceived != cells || both.BytesReceived < cells*cell.Size || both.CellsSent != 0 {
				t.Errorf("counted %+v, want %d cells", both, cells)
			}
		})
	})
	t.Run("send", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, l := responder(t, link.Config{SendRate: limit(), PingEvery: time.Hour})
			g, _ := open(t, l)
			if err := g.Push(cell.Relay, numbered(l, 0, records*link.MaxCells)...); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			for n := 0; n < records*link.MaxCells; {
				n += len(p.mustRead())
			}
			if took := time.Since(begun); took < want-time.Second || took > want+time.Second {
				t.Errorf("it took %v, want %v", took, want)
			}
			synctest.Wait()
			if got := l.Traffic(); got.CellsSent < records*link.MaxCells || got.CellsReceived != 0 {
				t.Errorf("counted %+v", got)
			}
		})
	})
	t.Run("closed", func(t *testing.T) { // nobody waits on a link that has ended
		synctest.Test(t, func(t *testing.T) {
			slow := rate.NewLimiter(1, link.MaxRecord)
			p, l := initiator(t, link.Config{ReceiveRate: slow, PingEvery: time.Hour})
			go p.drain()
			p.write(p.record(full...))
			p.write(p.record(full...))
			begun := time.Now()
			l.Close()
			<-l.Done()
			if took := time.Since(begun); took != 0 {
				t.Errorf("it took %v", took)
			}
		})
	})
}
