package tinker

import (
	"slices"
	"time"
)

// An opening is the receiving half of a route's end: an opener for each layer,
// the outermost first.
type opening struct {
	size, offset int
	openers      []*Opener
	workers      *Workers
	pauses       bool // behind the end of a chain, whose next one the caller has to bring

	// Of the batch under way.
	job      job
	nonces   *[stepUnits][nonceSize]byte
	regular  [stepUnits]bool
	dst, src [][]byte
	out      []Opened
}

func newOpening(size, offset int, workers *Workers) *opening {
	o := &opening{size: size, offset: offset, workers: workers}
	o.job.work = o.openCell
	return o
}

// one opens a cell's layers, down to the first that is not passed on. dst and
// src may be the same.
func (o *opening) one(dst, src []byte) (Opened, error) {
	from, to := src[:LayerSize(o.size, o.offset)], dst[:0]
	for i, opener := range o.openers {
		typ, content, err := opener.OpenTo(to, from)
		if err != nil {
			return Opened{}, &LayerError{Hop: i, Err: err}
		}
		if typ != LayerRelay || i == len(o.openers)-1 {
			return Opened{Hop: i, Type: typ, Content: content}, nil
		}
		from, to = content, content[:0]
	}
	return Opened{}, &LayerError{Err: ErrDecrypt}
}

// all opens cells and returns how many it has opened before the error, or
// before a pause. No dst may overlap a src.
func (o *opening) all(dst, src [][]byte, out []Opened) (opened int, err error) {
	for opened < len(src) {
		n := 0
		if o.workers != nil && len(o.openers) > 0 {
			n = o.together(len(src) - opened)
		}
		if n > grain {
			if o.nonces == nil {
				o.nonces = new([stepUnits][nonceSize]byte)
			}
			o.dst, o.src, o.out = dst[opened:], src[opened:], out[opened:]
			o.workers.run(&o.job, n)
			opened += o.keep(n)
		}
		// One cell in order: the first that was not regular, if there is one.
		if opened < len(src) {
			if out[opened], err = o.one(dst[opened], src[opened]); err != nil {
				return opened, err
			}
			opened++
			if o.pauses && slices.ContainsFunc(o.openers, func(opener *Opener) bool { return opener.held }) {
				break
			}
		}
	}
	return opened, nil
}

// together is how many of n cells may be opened in any order, if none of them
// changes a key: 0 where they may not.
func (o *opening) together(n int) int {
	now := time.Now()
	for _, opener := range o.openers {
		n = min(n, opener.left())
		if opener.err != nil || opener.held || opener.expired(now, n*unitSize) {
			return 0
		}
	}
	return n
}

// openCell opens all layers of one cell of the batch, and says whether it was
// regular: passed on by each hop but the last, and without a step. What comes
// behind a cell that was not is opened again. Several goroutines call it; the
// openers are not changed meanwhile.
func (o *opening) openCell(n int) {
	o.regular[n] = false
	nonce := &o.nonces[n]
	from, to := o.src[n][:LayerSize(o.size, o.offset)], o.dst[n][:0]
	last := len(o.openers) - 1
	for i, opener := range o.openers {
		opener.nonceAt(n, nonce)
		plain, err := opener.aead.Open(to, nonce[:], from, nil)
		if err != nil || plain[0]&^MaxType != 0 || i < last && plain[0] != LayerRelay {
			return
		}
		from, to = plain[1:], plain[1:1]
		if i == last {
			o.out[n] = Opened{Hop: i, Type: plain[0], Content: from}
		}
	}
	o.regular[n] = true
}

// keep counts the cells of a batch up to the first that was not regular.
func (o *opening) keep(n int) int {
	kept := 0
	for kept < n && o.regular[kept] {
		kept++
	}
	if kept > 0 {
		for _, opener := range o.openers {
			opener.usedAll(kept)
		}
	}
	o.dst, o.src, o.out = nil, nil, nil
	return kept
}
