package circuit_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
)

// Keys are renewed with each node once a minute, and the stream goes on, until
// the circuit has lived for an hour.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		c, s := dial(t, p, &site, []byte("early"), nil)
		p.build()
		far := <-p.streams
		synctest.Wait()
		for minute := range 59 {
			time.Sleep(time.Minute)
			synctest.Wait()
			for i := range p.steps[:3] {
				if n := int(p.steps[i].Load()); n != minute+1 {
					t.Fatalf("after %d minutes node %d has renewed its keys %d times", minute+1, i+1, n)
				}
			}
			if minute == 0 {
				echo(t, s, far, []byte("early"))
			}
		}
		if _, err := c.Open(site, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "greatest age") {
			t.Errorf("after an hour: %v, want that it is too old", err)
		}
	})
}

// Nodes that don't answer offers end the circuit when its keys are too old.
func TestRenewalWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		c, s := dial(t, p, &site, nil, nil)
		p.build()
		p.lazy.Store(true)
		synctest.Wait()
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		time.Sleep(time.Minute)
		s.Write([]byte("too late"))
		synctest.Wait()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "greatest age") {
			t.Errorf("with old keys: %v, want that it is too old", err)
		}
	})
}

// What is no answer to an offer ends the circuit.
func TestBadAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		content []byte
		reason  cell.Reason
	}{
		"cut short": {[]byte{255, 255}, cell.Protocol},
		"no offer":  {[]byte{0, 3, 1, 2, 3}, cell.Altered},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPath(t, 3, link.Config{})
				defer p.end()
				c, _ := dial(t, p, &site, nil, nil)
				p.build()
				synctest.Wait()
				p.send(test.content, 2, 4, -1)
				synctest.Wait()
				if !sameError(c.Err(), &circuit.Error{Reason: test.reason, Hop: 1}) {
					t.Errorf("the circuit: %v", c.Err())
				}
			})
		})
	}
}

// Padding counts while cells are sealed, and offers are sealed: neither waits
// for the other.
func TestRenewalWhilePadding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		c, _ := dial(t, p, nil, nil, nil)
		p.build()
		<-c.Built()
		synctest.Wait()
		defer c.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c.Renewed() < 300 && c.Err() == nil {
				c.Renew()
			}
		}()
		for {
			select {
			case <-done:
				if err := c.Err(); err != nil {
					t.Error(err)
				}
				return
			default:
				c.CountWhileSealing()
			}
		}
	})
}
