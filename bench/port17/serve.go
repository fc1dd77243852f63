package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// A request to the destination is the number of bytes that it is to send, in 8
// bytes, big-endian; endless for data without end. It keeps the connection
// open until the other side closes it.
const (
	requestSize = 8
	endless     = 1<<64 - 1
)

func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	block := make([]byte, 256<<10)
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept on %s: %w", address, err)
		}
		go func() {
			defer c.Close()
			answer(c, block)
		}()
	}
}

func answer(c net.Conn, block []byte) {
	var request [requestSize]byte
	if _, err := io.ReadFull(c, request[:]); err != nil {
		return
	}
	left := binary.BigEndian.Uint64(request[:])
	for left > 0 {
		n, err := c.Write(block[:min(left, uint64(len(block)))])
		if err != nil {
			return
		}
		if left != endless {
			left -= uint64(n)
		}
	}
	io.Copy(io.Discard, c) //nolint:errcheck // its end is all that matters
}
