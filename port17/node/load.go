package node

import (
	"context"
	"math"
	"runtime"
	"time"
)

const (
	gaugeEvery = 10 * time.Second
	gaugePart  = 0.2 // of what is new, in the smoothed value
	loadStep   = 10  // percent, in which descriptors say it
)

// gauge measures how busy the node is: by what it has least of.
func (n *Node) gauge(ctx context.Context) {
	ticker := time.NewTicker(gaugeEvery)
	defer ticker.Stop()
	was := n.used()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		is := n.used()
		busy := n.busy(was, is)
		was = is
		n.mu.Lock()
		n.load += gaugePart * (busy - n.load)
		n.mu.Unlock()
	}
}

// usage is what the node has used since it started.
type usage struct {
	at             time.Time
	sent, received uint64 // bytes
	cpu            time.Duration
}

func (n *Node) used() usage {
	n.mu.Lock()
	t := n.trafficLocked()
	n.mu.Unlock()
	return usage{at: time.Now(), sent: t.BytesSent, received: t.BytesReceived, cpu: processTime()}
}

// busy returns in percent how much is in use of the greatest of four: the rate
// of bytes, where there is one; the CPUs, by the whole process; the memory for
// cells that wait; and the places for handshakes that do.
func (n *Node) busy(was, is usage) float64 {
	took := is.at.Sub(was.at).Seconds()
	if took <= 0 {
		return 0
	}
	parts := []float64{
		float64(n.pool.Used()) / float64(n.maxCells),
		float64(n.handshakes.count()) / maxHandshakes,
		(is.cpu - was.cpu).Seconds() / took / float64(runtime.GOMAXPROCS(0)),
	}
	if n.config.Rate > 0 {
		parts = append(parts, float64(max(is.sent-was.sent, is.received-was.received))/took/float64(n.config.Rate))
	}
	most := 0.
	for _, p := range parts {
		most = max(most, p)
	}
	return 100 * min(most, 1)
}

// percent returns the load as descriptors say it.
func percent(load float64) int { return loadStep * int(math.Round(load/loadStep)) }

func gap(a, b int) int { return max(a-b, b-a) }
