package directory

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"time"
)

// once sends each request over a connection of its own. Unlike [http.Transport]
// it has no goroutines: when a request is over, so is all that was begun for it.
type once struct {
	dial func(context.Context) (net.Conn, error)
}

// RoundTrip implements http.RoundTripper.
func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	conn, err := o.dial(r.Context())
	if err != nil {
		return nil, err
	}
	unregister := context.AfterFunc(r.Context(), func() { conn.SetDeadline(time.Unix(1, 0)) })
	end := func() error {
		unregister()
		return conn.Close()
	}
	response, err := exchange(conn, r)
	if err != nil {
		if r.Context().Err() != nil {
			err = r.Context().Err()
		}
		return nil, errors.Join(err, end())
	}
	response.Body = &onceBody{response.Body, end}
	return response, nil
}

func exchange(conn net.Conn, r *http.Request) (*http.Response, error) {
	last := r.Clone(r.Context())
	last.Close = true
	if err := last.Write(conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	response, err := http.ReadResponse(bufio.NewReader(limited), r)
	limited.N = math.MaxInt64 // whoever reads the body bounds it
	return response, err
}

type onceBody struct {
	io.ReadCloser
	end func() error
}

// Close implements io.Closer. What was not read is not waited for.
func (b *onceBody) Close() error { return b.end() }
