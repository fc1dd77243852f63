package tinker

import (
	"fmt"
	"time"
)

// A sealing is the sending half of a route's end: a sealer for each layer, the
// outermost first.
type sealing struct {
	size, offset int
	sealers      []*Sealer
	padding      *Padding
	workers      *Workers

	// Of the batch under way.
	job    job
	nonces *[stepUnits][nonceSize]byte
	cells  [][]byte
	typ    byte
}

func newSealing(size, offset int, workers *Workers) *sealing {
	s := &sealing{size: size, offset: offset, padding: NewPadding(), workers: workers}
	s.job.work = s.sealCell
	return s
}

// layer is the part of a payload that a layer covers.
func (s *sealing) layer(payload []byte, i int) []byte {
	return payload[i : i+LayerSize(s.size, s.offset+i)]
}

func (s *sealing) pad(payload []byte) { s.padding.Fill(payload[LayerSize(s.size, s.offset):s.size]) }

// check panics where a payload would leave as it came, or with flags that its
// layer's chain does not obey.
func (s *sealing) check(typ byte) {
	if len(s.sealers) == 0 {
		panic("tinker: seal for a route without hops")
	}
	checkType(typ)
}

// one seals a cell with the layers up to the given one.
func (s *sealing) one(last int, payload []byte, typ byte, step *Step) error {
	s.check(typ)
	s.pad(payload)
	for i := last; i >= 0; i-- {
		var err error
		if step != nil && i == last {
			err = s.sealers[i].SealStep(s.layer(payload, i), typ, step)
		} else {
			err = s.sealers[i].Seal(s.layer(payload, i), typ)
		}
		if err != nil {
			return fmt.Errorf("seal layer %d: %w", i+1, err)
		}
		typ = LayerRelay
	}
	return nil
}

// all seals cells with all layers.
func (s *sealing) all(cells [][]byte, typ byte) error {
	s.check(typ)
	for len(cells) > 0 {
		n := s.together(len(cells))
		if n <= grain || s.workers == nil {
			for _, payload := range cells[:n] {
				if err := s.one(len(s.sealers)-1, payload, typ, nil); err != nil {
					return err
				}
			}
			cells = cells[n:]
			continue
		}
		for _, payload := range cells[:n] {
			s.pad(payload)
		}
		if s.nonces == nil {
			s.nonces = new([stepUnits][nonceSize]byte)
		}
		s.cells, s.typ = cells[:n], typ
		s.workers.run(&s.job, n)
		now := time.Now()
		for _, sealer := range s.sealers {
			sealer.usedAll(n, now)
		}
		cells = cells[n:]
	}
	s.cells = nil
	return nil
}

// together is how many of n cells can be sealed in any order: no layer's key
// changes within them. It is 1 where a layer steps, or ends.
func (s *sealing) together(n int) int {
	now := time.Now()
	for _, sealer := range s.sealers {
		n = min(n, sealer.left())
		if sealer.aead == nil || now.Sub(sealer.since) >= stepTime || sealer.expired(now, n*unitSize) {
			return 1
		}
	}
	return n
}

// sealCell seals one cell of the batch. Several goroutines call it; the
// sealers are not changed meanwhile.
func (s *sealing) sealCell(n int) {
	typ, nonce := s.typ, &s.nonces[n]
	for i := len(s.sealers) - 1; i >= 0; i-- {
		buf := s.layer(s.cells[n], i)
		buf[0] = typ
		s.sealers[i].nonceAt(n, nonce)
		s.sealers[i].aead.Seal(buf[:0], nonce[:], buf[:len(buf)-tagSize], nil)
		typ = LayerRelay
	}
}

// usedAll counts n messages of one unit that were sealed together.
func (s *Sealer) usedAll(n int, now time.Time) {
	if s.chain.usedAll(n) {
		s.since = now
	}
}

// usedAll counts n messages of one unit, no more than are left.
func (c *chain) usedAll(n int) bool {
	c.count += uint64(n - 1)
	c.units += n - 1
	c.bytes += uint64((n - 1) * unitSize)
	return c.used(unitSize, 0)
}
