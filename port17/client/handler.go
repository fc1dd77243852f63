package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"time"

	"safing/internal/sse"
	"safing/port17/route"
)

// Handler serves the client's state as JSON. It is for the user alone: whoever
// gets it sees which applications are connected where. Events are of the name
// state: an [Overview] at once, and whenever it has changed, each second at most.
//
//	GET /v1/status
//	GET /v1/map
//	GET /v1/circuits
//	GET /v1/events
//	GET /v1/route?destination=HOST:PORT&…
//
// [ParseQuery] has the parameters of the last one. Where there is no route, it
// answers with status 404 and a [NoRouteView].
func (c *Client) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.Status()) })
	mux.HandleFunc("GET /v1/circuits", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.Circuits()) })
	mux.HandleFunc("GET /v1/map", func(w http.ResponseWriter, _ *http.Request) {
		m := c.Map()
		if m == nil {
			http.Error(w, ErrNoMap.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, ViewMap(c.config.Network, m))
	})
	mux.HandleFunc("GET /v1/route", c.serveRoute)
	mux.HandleFunc("GET /v1/events", c.serveEvents)
	return mux
}

func (c *Client) serveRoute(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	request, err := ParseQuery(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e, err := c.Explain(request)
	var none *route.NoRouteError
	switch {
	case errors.As(err, &none):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(ViewNoRoute(none, e)) //nolint:errcheck // whoever asked has gone
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		v := ViewRoute(q.Get("destination"), e)
		if last, ok := c.LastPlace(request); ok {
			v.Last = &last
		}
		answer(w, v)
	}
}

func (c *Client) serveEvents(w http.ResponseWriter, r *http.Request) {
	stream, err := sse.Start(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var last Overview
	var sent time.Time
	for {
		switch now := c.Overview(); {
		case sent.IsZero() || !reflect.DeepEqual(now, last):
			err = stream.Send("state", now)
			last, sent = now, time.Now()
		case time.Since(sent) >= sse.BeatEvery:
			err = stream.Beat()
			sent = time.Now()
		}
		if err != nil {
			return
		}
		select {
		case <-stream.Done():
			return
		case <-look.C:
		}
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // whoever asked has gone
}
