package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/proxy"

	"safing/internal/command"
)

const firstBytes = 20 // requests of which one measurement takes the median

// A path is one way to reach the destination.
type path struct {
	name string
	dial func() (net.Conn, error)
}

// network measures throughput and time to first byte, directly and through
// three hops.
func (c *benchCommand) network(ctx context.Context, out command.IO) error {
	w, err := c.open(out)
	if err != nil {
		return err
	}
	defer w.remove()
	n, err := w.startNetwork(ctx, usual("127.0.0.1:0"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go source(l)
	b := &networkBench{socks: n.socks.String(), destination: l.Addr().String()}
	return b.run(ctx, c, out)
}

type networkBench struct {
	socks, destination string
	circuits           atomic.Int64
}

// through dials over the network; a new name gets a circuit of its own.
func (b *networkBench) through(name string) (net.Conn, error) {
	d, err := proxy.SOCKS5("tcp", b.socks, &proxy.Auth{User: name, Password: "bench"}, proxy.Direct)
	if err != nil {
		return nil, err
	}
	return d.Dial("tcp", b.destination)
}

func (b *networkBench) run(ctx context.Context, c *benchCommand, out command.IO) error {
	direct := path{"direct", func() (net.Conn, error) { return net.Dial("tcp", b.destination) }}
	warm := path{"3 hops", func() (net.Conn, error) { return b.through("warm") }}
	fresh := path{"3 hops, circuit built for the request", func() (net.Conn, error) {
		return b.through("fresh-" + strconv.FormatInt(b.circuits.Add(1), 10))
	}}
	var speed, first []*series
	steps := []func() error{}
	for _, streams := range []int{1, 8} {
		var base *series
		for _, p := range []path{direct, warm} {
			s := &series{what: fmt.Sprintf("%s, %d streams", p.name, streams), unit: "MB/s", of: base}
			if base == nil {
				base = s
			}
			speed = append(speed, s)
			steps = append(steps, func() error { return throughput(s, p, streams, c.Window) })
		}
	}
	for _, p := range []path{direct, warm, fresh} {
		s := &series{what: p.name, unit: "ms"}
		first = append(first, s)
		steps = append(steps, func() error { return firstByte(s, p) })
	}
	for round := range c.Rounds {
		c.progress(out, "network", round)
		for i := range steps { // another order in each round
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := steps[(i+round)%len(steps)](); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		table(out.Out, "Throughput through three hops", speed),
		table(out.Out, "Time from dialling to the first byte", first),
	)
}

// source answers a first byte 'd' with data without end, and any other with
// one byte.
func source(l net.Listener) {
	block := make([]byte, 256<<10)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var ask [1]byte
			if _, err := io.ReadFull(c, ask[:]); err != nil {
				return
			}
			for ask[0] == 'd' {
				if _, err := c.Write(block); err != nil {
					return
				}
			}
			c.Write(ask[:]) //nolint:errcheck // the asker sees that nothing came
		}()
	}
}

// throughput downloads over some streams at a time and counts after a
// warm-up of a quarter of the window.
func throughput(s *series, p path, streams int, window time.Duration) error {
	var bytes atomic.Int64
	errs := make([]error, streams)
	conns := make([]net.Conn, streams)
	for i := range conns {
		c, err := p.dial()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		defer c.Close()
		conns[i] = c
	}
	var readers sync.WaitGroup
	for i, c := range conns {
		readers.Go(func() {
			if _, errs[i] = c.Write([]byte("d")); errs[i] != nil {
				return
			}
			buf := make([]byte, 256<<10)
			for {
				n, err := c.Read(buf)
				bytes.Add(int64(n))
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						errs[i] = err
					}
					return
				}
			}
		})
	}
	time.Sleep(window / 4)
	before, start := bytes.Load(), time.Now()
	time.Sleep(window)
	moved, took := bytes.Load()-before, time.Since(start)
	for _, c := range conns {
		c.Close()
	}
	readers.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	s.add(float64(moved) / 1e6 / took.Seconds())
	return nil
}

// firstByte adds the median time of some requests.
func firstByte(s *series, p path) error {
	var times []float64
	for range firstBytes {
		start := time.Now()
		c, err := p.dial()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		_, err = c.Write([]byte("1"))
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		c.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		times = append(times, float64(time.Since(start).Microseconds())/1e3)
	}
	s.add(median(times))
	return nil
}
