package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// startForwarders starts three processes that splice TCP: what three hops
// cost without encryption.
func (a *arena) startForwarders(port uint16) (*contestant, error) {
	c := &contestant{name: nameForward, arena: a, target: target{Addr: chainAddress(0, port)}}
	return c, a.startChain(c, port, func(_ int, at, next string) []string { return []string{"forward", at, next} })
}

// startCells starts an entry on the client's host and three hops for the onion
// cells of cells.go.
func (a *arena) startCells(port uint16) (*contestant, error) {
	c := &contestant{name: nameCells, arena: a}
	role := func(position int, at, next string) []string {
		return []string{"cells", strconv.Itoa(position), at, next}
	}
	if err := a.startChain(c, port, role); err != nil {
		return nil, err
	}
	c.target.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String()
	entry, err := a.startRole(clientHost, fmt.Sprintf("%d-entry", port), role(0, c.target.Addr, chainAddress(0, port))...)
	c.carriers = append(c.carriers, entry)
	return c, err
}

func chainAddress(hop int, port uint16) string {
	return netip.AddrPortFrom(relayHost(hop), port).String()
}

// startChain starts three hops, of which the last leads to the destination.
func (a *arena) startChain(c *contestant, port uint16, role func(position int, at, next string) []string) error {
	for hop := range 3 {
		next := destinationAddress
		if hop < 2 {
			next = chainAddress(hop+1, port)
		}
		p, err := a.startRole(relayHost(hop), fmt.Sprintf("%d-hop%d", port, hop+1), role(hop+1, chainAddress(hop, port), next)...)
		if err != nil {
			return err
		}
		c.carriers = append(c.carriers, p)
	}
	return nil
}

// forward passes every connection to address on to next.
func forward(address, next string, up, down codec) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		in, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept on %s: %w", address, err)
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", next)
			if err != nil {
				return
			}
			defer out.Close()
			var both sync.WaitGroup
			both.Go(func() {
				up(out, in) //nolint:errcheck // its end is passed on
				out.(*net.TCPConn).CloseWrite()
			})
			down(in, out) //nolint:errcheck // likewise
			in.Close()    // so that one side that stops reading ends both
			both.Wait()
		}()
	}
}

// splice copies within the kernel where both are TCP connections.
func splice(dst io.Writer, src io.Reader) error {
	_, err := io.Copy(dst, src)
	return err
}
