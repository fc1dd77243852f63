package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Onion cells: 4096 bytes on every link, one AES-256-GCM layer for each hop,
// keys that stay. There is no handshake, no multiplexing and no secret: this is
// what the bare data path of an onion network in Go can reach over links that
// are not encrypted, not a protocol.
const (
	cellSize = 4096
	tagSize  = 16
	cellBody = cellSize - 3*tagSize // length of the data, data, padding
	cellData = cellBody - 2
	batch    = 16 // cells of a read and a write
)

// A layer seals and opens one hop's share of the cells of one direction.
type layer struct {
	aead  cipher.AEAD
	size  int // what seal takes
	nonce [12]byte
}

// newLayer makes a hop's layer, 1 being the hop next to the client.
func newLayer(hop int) *layer {
	key := make([]byte, 32)
	key[0] = byte(hop)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has a length that AES has
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &layer{aead: aead, size: cellSize - hop*tagSize}
}

func (l *layer) next() []byte {
	binary.LittleEndian.PutUint64(l.nonce[:], binary.LittleEndian.Uint64(l.nonce[:])+1)
	return l.nonce[:]
}

func (l *layer) seal(cell []byte) error {
	l.aead.Seal(cell[:0], l.next(), cell[:l.size], nil)
	return nil
}

func (l *layer) open(cell []byte) error {
	_, err := l.aead.Open(cell[:0], l.next(), cell[:l.size+tagSize], nil)
	return err
}

// A codec moves the bytes of one direction of one stream until it ends.
type codec func(dst io.Writer, src io.Reader) error

// cellCodecs returns what a process does towards the destination and back.
// Position 0 is the entry on the client's host, 3 the exit.
func cellCodecs(position int) (up, down codec) {
	switch position {
	case 0:
		return packing(3, 2, 1), unpacking(1, 2, 3)
	case 3:
		return unpacking(3), packing(3)
	}
	change := func(f func(*layer, []byte) error) codec {
		return func(dst io.Writer, src io.Reader) error {
			l := newLayer(position)
			return eachBatch(src, func(cells []byte) error {
				for cell := range slices.Chunk(cells, cellSize) {
					if err := f(l, cell); err != nil {
						return err
					}
				}
				_, err := dst.Write(cells)
				return err
			})
		}
	}
	return change((*layer).open), change((*layer).seal)
}

func newLayers(hops []int) (all []*layer) {
	for _, h := range hops {
		all = append(all, newLayer(h))
	}
	return all
}

// packing puts a byte stream into cells and seals them, innermost first.
func packing(hops ...int) codec {
	return func(dst io.Writer, src io.Reader) error {
		layers := newLayers(hops)
		in, out := make([]byte, batch*cellData), make([]byte, batch*cellSize)
		for {
			n, readErr := src.Read(in)
			cells := 0
			for data := range slices.Chunk(in[:n], cellData) {
				cell := out[cells*cellSize:][:cellSize]
				binary.BigEndian.PutUint16(cell, uint16(len(data)))
				clear(cell[2+copy(cell[2:], data) : cellBody])
				for _, l := range layers {
					if err := l.seal(cell); err != nil {
						return err
					}
				}
				cells++
			}
			if _, err := dst.Write(out[:cells*cellSize]); err != nil {
				return err
			}
			if readErr != nil {
				return readErr
			}
		}
	}
}

// unpacking opens cells, outermost layer first, and writes their data.
func unpacking(hops ...int) codec {
	return func(dst io.Writer, src io.Reader) error {
		layers := newLayers(hops)
		out := make([]byte, 0, batch*cellData)
		return eachBatch(src, func(cells []byte) error {
			out = out[:0]
			for cell := range slices.Chunk(cells, cellSize) {
				for _, l := range layers {
					if err := l.open(cell); err != nil {
						return err
					}
				}
				n := int(binary.BigEndian.Uint16(cell))
				if n > cellData {
					return fmt.Errorf("a cell claims %d bytes", n)
				}
				out = append(out, cell[2:2+n]...)
			}
			_, err := dst.Write(out)
			return err
		})
	}
}

// eachBatch hands over whole cells, as many as there are to read.
func eachBatch(src io.Reader, f func(cells []byte) error) error {
	buf := make([]byte, batch*cellSize)
	have := 0
	for {
		n, readErr := src.Read(buf[have:])
		have += n
		if whole := have / cellSize * cellSize; whole > 0 {
			if err := f(buf[:whole]); err != nil {
				return err
			}
			have = copy(buf, buf[whole:have])
		}
		if readErr != nil {
			return readErr
		}
	}
}
