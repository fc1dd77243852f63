package cell

import (
	"sync"
	"sync/atomic"
)

// A Buf holds one cell.
type Buf [Size]byte

// A Pool keeps cells that are not in use. It counts those that are, so that a
// node can bound the memory that its queues take. The zero value is ready.
type Pool struct {
	free   sync.Pool
	blocks sync.Pool
	used   atomic.Int64
}

// Get returns a cell with unspecified contents.
func (p *Pool) Get() *Buf {
	p.used.Add(1)
	if b, ok := p.free.Get().(*Buf); ok {
		return b
	}
	return new(Buf)
}

// Put takes a cell back. The caller must not use it afterwards.
func (p *Pool) Put(b *Buf) {
	p.used.Add(-1)
	p.free.Put(b)
}

// PutAll takes cells back and clears the slice.
func (p *Pool) PutAll(bufs []*Buf) {
	p.used.Add(-int64(len(bufs)))
	for i, b := range bufs {
		p.free.Put(b)
		bufs[i] = nil
	}
}

// Used returns how many cells are in use.
func (p *Pool) Used() int64 { return p.used.Load() }

// A Block has room for the record that carries the most cells.
type Block [17 * Size]byte

// GetBlock returns a block with unspecified contents. Links hold one only
// while they read or write, so that idle ones cost little.
func (p *Pool) GetBlock() *Block {
	if b, ok := p.blocks.Get().(*Block); ok {
		return b
	}
	return new(Block)
}

// PutBlock takes a block back.
func (p *Pool) PutBlock(b *Block) { p.blocks.Put(b) }
