package tinker

import "errors"

// A Relay is one hop's place in a route: it removes a layer from what comes
// from the initiator, and puts one around what goes back. One goroutine may
// open while another seals.
type Relay struct {
	in  *opening
	out *sealing
	pad *Padding // of what was opened
}

// NewRelay makes the hop at the position of a route whose cells have payloads
// of size bytes, up to 4096.
func NewRelay(s *Session, size, position int, workers *Workers) *Relay {
	checkOnion(size, position)
	r := &Relay{in: newOpening(size, position, workers), out: newSealing(size, position, workers), pad: NewPadding()}
	r.in.openers = []*Opener{s.Recv}
	r.out.sealers = []*Sealer{s.Send}
	return r
}

// Open opens the hop's layer of src into dst and returns the layer's type. dst
// has one byte more than a payload; dst[1:] is the payload to pass on then, its
// end filled with fresh padding. The two may not overlap. After an error, the
// route must be ended.
func (r *Relay) Open(dst, src []byte) (typ byte, content []byte, err error) {
	opened, err := r.in.one(dst, src)
	if err != nil {
		return 0, nil, errors.Unwrap(err) // which hop is no question here
	}
	r.fill(dst)
	return opened.Type, opened.Content, nil
}

func (r *Relay) fill(dst []byte) {
	r.pad.Fill(dst[1+ContentSize(r.in.size, r.in.offset) : 1+r.in.size])
}

// OpenAll is Open for many payloads, on several cores. It returns how many were
// opened before an error.
func (r *Relay) OpenAll(dst, src [][]byte, out []Opened) (int, error) {
	n, err := r.in.all(dst, src, out)
	for _, d := range dst[:n] {
		r.fill(d)
	}
	return n, errors.Unwrap(err)
}

// Seal puts the hop's layer around src, which the next hop has sent, into dst,
// another payload.
func (r *Relay) Seal(dst, src []byte) error {
	r.copy(dst, src)
	return r.SealOwn(dst, LayerRelay, nil)
}

func (r *Relay) copy(dst, src []byte) {
	copy(dst[1:], src[:ContentSize(r.out.size, r.out.offset)])
}

// SealAll is Seal for many payloads, on several cores.
func (r *Relay) SealAll(dst, src [][]byte) error {
	for i := range src {
		r.copy(dst[i], src[i])
	}
	return r.out.all(dst[:len(src)], LayerRelay)
}

// SealOwn seals a payload of the hop's own, whose content stands behind one
// byte. A step of the ratchet, if there is one, is sealed with it.
func (r *Relay) SealOwn(payload []byte, typ byte, step *Step) error {
	return r.out.one(0, payload, typ, step)
}
