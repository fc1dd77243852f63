package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"safing/port17/node"
)

// aliveWithin is how long a node that is well takes to answer at most.
const aliveWithin = 2 * time.Second

// Handler serves the node's metrics and its health.
func Handler(n *node.Node) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		newCollector(n.Stats),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), aliveWithin)
		defer cancel()
		if err := errors.Join(n.Alive(ctx), health(n.Stats(), time.Now())); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// health says why clients don't use the node, if the node knows.
func health(s node.Stats, now time.Time) error {
	switch {
	case s.Refusing != 0:
		return fmt.Errorf("it takes no circuits: %s", s.Refusing)
	case s.MapUntil.IsZero():
		return errors.New("it has no map yet")
	case !now.Before(s.MapUntil):
		return fmt.Errorf("its map was valid until %s, and it gets no newer one", s.MapUntil.Format(time.RFC3339))
	case !s.OnMap:
		return errors.New("it is not on the map")
	case s.Neighbours == 0:
		return errors.New("it has no link to another node")
	}
	return nil
}
