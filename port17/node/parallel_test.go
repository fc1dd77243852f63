package node_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/testnet"
)

// Circuits are spread over the links between two nodes. When one of these
// breaks, its circuits end and no others, and there is a new one soon.
func TestCutOneOfParallel(t *testing.T) {
	const circuits = 10
	n := testnet.Start(t, 3)
	server, _ := echo(t)
	to := target(server)
	links := n.Nodes[0].LinksTo(n.Nodes[1].ID())
	for deadline := time.Now().Add(10 * time.Second); len(links) < 2; links = n.Nodes[0].LinksTo(n.Nodes[1].ID()) {
		if time.Now().After(deadline) {
			t.Fatalf("there are %d links between two nodes, want 2", len(links))
		}
		<-time.After(time.Millisecond)
	}
	l, hops := n.Route(t, 0, 1)
	var all []*circuit.Circuit
	var streams []*stream.Stream
	for range circuits {
		c, s, err := circuit.Dial(l, hops, &to, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		all, streams = append(all, c), append(streams, s)
	}
	for i, l := range links {
		if l.Legs() != circuits/2 {
			t.Errorf("link %d has %d circuits, want %d", i, l.Legs(), circuits/2)
		}
	}
	links[0].Close()
	<-links[0].Done()
	ended := make(chan error, circuits)
	for _, c := range all {
		go func() {
			<-c.Done()
			ended <- c.Err()
		}()
	}
	for range circuits / 2 {
		select {
		case err := <-ended:
			var broken *circuit.Error
			if !errors.As(err, &broken) || broken.Reason != cell.LinkBroken {
				t.Errorf("a circuit of the broken link ended: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a circuit of the broken link lives on")
		}
	}
	alive := 0
	for _, s := range streams {
		if _, err := s.Write([]byte("y")); err != nil {
			continue
		}
		if _, err := io.ReadFull(s, make([]byte, 1)); err == nil {
			alive++
		}
	}
	if alive != circuits/2 {
		t.Errorf("%d circuits are left, want %d", alive, circuits/2)
	}
	for deadline := time.Now().Add(10 * time.Second); len(n.Nodes[0].LinksTo(n.Nodes[1].ID())) < 2; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the broken link was not replaced")
		}
	}
	for _, c := range all {
		c.Close()
	}
}

// One that accepts connections at a node's address and does not prove to be that
// node gets no circuits, and no mention in a descriptor.
func TestUnprovenLinkIsNotUsed(t *testing.T) {
	n := testnet.Start(t, 2)
	dialler, dialled := n.Nodes[0], n.Nodes[1]
	if a, b := dialler.ID(), dialled.ID(); bytes.Compare(a[:], b[:]) > 0 { // as nodes agree who dials
		dialler, dialled = dialled, dialler
	}
	was, links := settled(dialler), dialler.LinksTo(dialled.ID())
	at := dialled.Addr().String()
	dialled.Close()
	for _, l := range links {
		<-l.Done()
	}
	impostor, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	defer held.Wait()
	defer dialler.Close()
	defer impostor.Close()
	accepted := make(chan struct{}, 100)
	held.Go(func() {
		for {
			c, err := impostor.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			held.Go(func() {
				io.Copy(io.Discard, c) //nolint:errcheck // it ends with the link
				c.Close()
			})
		}
	})
	select {
	case <-accepted:
	case <-time.After(10 * time.Second):
		t.Fatal("the node was not dialled again")
	}
	now := settled(dialler)
	if links := dialler.LinksTo(dialled.ID()); len(links) > 0 {
		t.Errorf("%d links to an impostor are used", len(links))
	}
	if len(was.Links) != 1 || len(now.Links) != 0 {
		t.Errorf("%d links were published, and with an impostor %d", len(was.Links), len(now.Links))
	}
}
