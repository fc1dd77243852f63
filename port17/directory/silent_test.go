package directory

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return f(r)
}

func reply(r *http.Request, status int, body []byte) (*http.Response, error) {
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// following returns a client of two authorities, "silent" and "good", and a map
// that it accepts.
func following(t *testing.T, f transport) (*Client, []byte) {
	t.Helper()
	p := newPress(t, 1)
	_, other, err := note.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{Network: &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{
		{URL: "http://silent", Key: other}, {URL: "http://good", Key: p.network.Authorities[0].Key},
	}}})
	c.http.Transport = f
	return c, p.print(t, 7, time.Minute)
}

// An authority that takes connections and says nothing does not keep a client
// from the next one.
func TestSilentAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signed []byte
		c, made := following(t, func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Host == "silent":
				<-r.Context().Done()
				return nil, r.Context().Err()
			case r.Method == http.MethodPost:
				return reply(r, http.StatusNoContent, nil)
			}
			return reply(r, http.StatusOK, signed)
		})
		signed = made
		if m, err := c.Fetch(t.Context()); err != nil || m.Sequence != 7 {
			t.Errorf("map %v, %v", m, err)
		}
		begun := time.Now()
		if err := c.Publish(t.Context(), []byte("descriptor")); err != nil || time.Since(begun) != publishGrace {
			t.Errorf("published after %v: %v", time.Since(begun), err)
		}
	})
}

// An authority, or somebody before it, that answers at once with what the
// client has is not asked again at once.
func TestWatchIsPatient(t *testing.T) {
	for name, answers := range map[string]func(*http.Request, []byte) (*http.Response, error){
		"not modified": func(r *http.Request, _ []byte) (*http.Response, error) { return reply(r, http.StatusNotModified, nil) },
		"same map":     func(r *http.Request, signed []byte) (*http.Response, error) { return reply(r, http.StatusOK, signed) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				requests, maps := 0, 0
				var signed []byte
				c, made := following(t, func(r *http.Request) (*http.Response, error) {
					requests++
					if requests == 1000 {
						cancel()
					}
					return answers(r, signed)
				})
				signed = made
				if _, err := c.take(signed); err != nil {
					t.Fatal(err)
				}
				c.Watch(ctx, func(*netmap.Map) { maps++ }) //nolint:errcheck // it ends with the context
				if requests > 20 || maps != 1 {
					t.Errorf("%d requests in a minute, %d maps", requests, maps)
				}
			})
		})
	}
}
