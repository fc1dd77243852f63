package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A job is what one load process does.
type job struct {
	Kind     string // bulk, times, build or hold
	Target   target
	Streams  int           // bulk, build, hold: at a time
	Circuits int           // bulk, hold: circuits that the streams are spread over; 0: one
	Warm     time.Duration // bulk: before counting
	Window   time.Duration // bulk: count so long; times, build: go on so long
	Count    int           // times: how many; 0: as many as fit into the window
	Fresh    bool          // times: a new circuit every time
	Size     uint64        // times: bytes until the last of which is measured
}

// An event is what a load process says of its job, one JSON line each.
type event struct {
	Bytes   int64
	Seconds float64
	Times   []float64 // milliseconds
	Open    int       // streams, or circuits
	Failed  int
	Error   string // the first
}

func emit(e event) error { return json.NewEncoder(os.Stdout).Encode(e) }

// load does a job and then waits to be stopped, so that its CPU time can still
// be read.
func load(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	err := fmt.Errorf("unknown job %q", j.Kind)
	switch j.Kind {
	case "bulk":
		err = bulk(j)
	case "times":
		err = times(j)
	case "build":
		err = build(j)
	case "hold":
		err = hold(j)
	}
	if err != nil {
		return err
	}
	select {}
}

// user is the name of a stream's circuit.
func (j job) user(i int) target {
	t := j.Target
	if j.Circuits > 1 {
		t.User = fmt.Sprintf("%s-%d", t.User, i%j.Circuits)
	}
	return t
}

// bulk downloads without end. It says when it begins to count, and what it has
// counted.
func bulk(j job) error {
	var total atomic.Int64
	errs := make(chan error, j.Streams)
	for i := range j.Streams {
		t := j.user(i)
		go func() {
			c, err := t.ask(endless)
			if err != nil {
				errs <- err
				return
			}
			buf := make([]byte, 256<<10)
			for {
				n, err := c.Read(buf)
				total.Add(int64(n))
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	wait := func(d time.Duration) error {
		select {
		case err := <-errs:
			return err
		case <-time.After(d):
			return nil
		}
	}
	if err := wait(j.Warm); err != nil {
		return err
	}
	before, start := total.Load(), time.Now()
	if err := emit(event{}); err != nil {
		return err
	}
	if err := wait(j.Window); err != nil {
		return err
	}
	return emit(event{Bytes: total.Load() - before, Seconds: time.Since(start).Seconds()})
}

// times measures from dialling to the last byte of each answer. A first
// request, which may have to build a circuit, is not counted unless all have to.
func times(j job) error {
	var result event
	one := func(t target) {
		start := time.Now()
		err := t.fetch(j.Size)
		if err != nil {
			result.fail(err)
			return
		}
		result.Times = append(result.Times, float64(time.Since(start).Microseconds())/1e3)
	}
	if !j.Fresh {
		one(j.Target)
		result = event{}
	}
	end := time.Now().Add(j.Window)
	for i := 0; i < j.Count || j.Count == 0 && time.Now().Before(end); i++ {
		t := j.Target
		if j.Fresh {
			t.User = fmt.Sprintf("%s-%d-%d", t.User, os.Getpid(), i)
		}
		one(t)
	}
	return emit(result)
}

// build has as many circuits built as it can, each for one byte.
func build(j job) error {
	var mu sync.Mutex
	var result event
	var building sync.WaitGroup
	start := time.Now()
	for i := range j.Streams {
		building.Go(func() {
			for n := 0; time.Since(start) < j.Window; n++ {
				t := j.Target
				t.User = fmt.Sprintf("%s-%d-%d-%d", t.User, os.Getpid(), i, n)
				err := t.fetch(1)
				mu.Lock()
				if err != nil {
					result.fail(err)
				} else {
					result.Open++
				}
				mu.Unlock()
			}
		})
	}
	building.Wait()
	result.Seconds = time.Since(start).Seconds()
	return emit(result)
}

func (e *event) fail(err error) {
	e.Failed++
	if e.Error == "" {
		e.Error = err.Error()
	}
}

// fetch asks for some bytes and takes them.
func (t target) fetch(size uint64) error {
	c, err := t.ask(size)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	_, err = io.CopyN(io.Discard, c, int64(size))
	return err
}

// hold opens streams, gets a byte through each and keeps them.
func hold(j job) error {
	const atOnce = 50
	var mu sync.Mutex
	var result event
	var opening sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range j.Streams {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			c, err := j.user(i).ask(1)
			if err == nil {
				c.SetDeadline(time.Now().Add(patience))
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				result.fail(err)
				return
			}
			result.Open++
			held = append(held, c)
		})
	}
	opening.Wait()
	return emit(result)
}

// held keeps connections from being collected, which would close them.
var held []net.Conn

func request(size uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, size)
}
