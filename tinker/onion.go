package tinker

import "fmt"

// Types of an onion's layers. They are authenticated with the layer.
const (
	// LayerRelay holds what the hop passes on.
	LayerRelay byte = 1 + iota
	// LayerLocal holds something for the hop itself, or from it.
	LayerLocal
	// LayerDrop is padding that ends at the hop.
	LayerDrop
	// LayerStep holds a message of the ratchet between the initiator and the
	// hop, or none; see [PutStep].
	LayerStep
)

// LayerSize returns how many bytes of a payload of size bytes the sealed layer
// of the hop at the position has. A route's first hop has a random position,
// its offset; each further hop has the next.
//
//	payload at position p:   |<- LayerSize(p) ->|<- padding of the sender ->|
//	                         | type | content … | tag |
//	content at position p  = sealed layer at position p+1
func LayerSize(size, position int) int { return size - position*LayerOverhead }

// ContentSize returns how many bytes the layer at the position holds.
func ContentSize(size, position int) int { return LayerSize(size, position+1) }

// An Onion is the initiator's end of a route: a session for each hop, entry
// first. One goroutine may seal while another opens.
type Onion struct {
	out *sealing
	in  *opening
}

// NewOnion makes the end of a route whose cells have payloads of size bytes,
// up to 4096, and whose first hop is at the position offset. Batches of cells
// are shared with the workers, if there are any.
func NewOnion(size, offset int, workers *Workers) *Onion {
	checkOnion(size, offset)
	in := newOpening(size, offset, workers)
	in.pauses = true
	return &Onion{out: newSealing(size, offset, workers), in: in}
}

func checkOnion(size, offset int) {
	if offset < 0 || size > unitSize || ContentSize(size, offset) < 0 {
		panic(fmt.Sprintf("tinker: no layer at position %d of %d bytes", offset, size))
	}
}

// Add puts the session of the next hop into the route. It panics when the
// cells have no room for another layer.
func (o *Onion) Add(s *Session) {
	checkOnion(o.out.size, o.out.offset+len(o.out.sealers))
	o.out.sealers = append(o.out.sealers, s.Send)
	o.in.openers = append(o.in.openers, s.Recv)
}

// Hops returns how many hops the route has by now.
func (o *Onion) Hops() int { return len(o.out.sealers) }

// Seal puts the layers around the content of a cell for the last hop. The
// content stands in the payload behind one byte for each hop, and has the
// [ContentSize] of the last hop's position. The only errors are [ErrExpired] and
// [ErrClosed]. Seal panics when the route has no hop, or typ is above [MaxType].
func (o *Onion) Seal(payload []byte, typ byte) error {
	return o.out.one(o.Hops()-1, payload, typ, nil)
}

// SealFor is Seal for a cell to the given hop; the entry is 0. Only the layers
// up to that hop are put around the content, which stands behind as many bytes
// and is longer by as much. A step of the ratchet with that hop, if there is
// one, is sealed with it.
func (o *Onion) SealFor(hop int, payload []byte, typ byte, step *Step) error {
	return o.out.one(hop, payload, typ, step)
}

// SealAll is Seal for many payloads, on several cores.
func (o *Onion) SealAll(payloads [][]byte, typ byte) error { return o.out.all(payloads, typ) }

// An Opened is a cell without its layers.
type Opened struct {
	Hop     int    // who sent it; the entry is 0
	Type    byte   // not LayerRelay, unless it is the last hop's
	Content []byte // lies in the payload
}

// Open removes the layers of a payload in place, down to that of the hop that
// sent it. The error is a [*LayerError].
func (o *Onion) Open(payload []byte) (Opened, error) { return o.in.one(payload, payload) }

// OpenAll opens many payloads, on several cores. Each src is opened into its
// dst, which has room for as many bytes; none may overlap another. It returns
// how many were opened before an error, which is a [*LayerError]. Without an
// error these are all, or the last of them is a hop's ACCEPT: what is behind it
// opens once [Session.Complete] has taken that.
func (o *Onion) OpenAll(dst, src [][]byte, out []Opened) (int, error) { return o.in.all(dst, src, out) }

// A LayerError says at which hop's layer a cell from a route did not open: that
// hop, or one before it, has altered it.
type LayerError struct {
	Hop int
	Err error // [ErrDecrypt] or [ErrExpired]
}

// Error implements error.
func (e *LayerError) Error() string { return fmt.Sprintf("layer of hop %d: %v", e.Hop+1, e.Err) }

// Unwrap returns Err.
func (e *LayerError) Unwrap() error { return e.Err }
