package tinker

import (
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Defaults of a PrekeyConfig.
const (
	DefaultSlot        = 4 * time.Hour
	DefaultGrace       = 15 * time.Minute
	DefaultReplayLimit = 1 << 20
)

// Errors of a hello.
var (
	ErrUnknownPrekey = errors.New("hello is for a prekey that this responder does not have")
	ErrReplay        = errors.New("hello was seen before")
	ErrFull          = errors.New("no more hellos can be taken with this prekey")
	ErrDecrypt       = errors.New("message does not open")
	ErrTooShort      = errors.New("message is too short")
	ErrClosed        = errors.New("the keys were forgotten")
)

// A PrekeyConfig says whose prekeys these are. Zero values mean the defaults.
type PrekeyConfig struct {
	Suite       SuiteID       // TK1 if zero
	Identity    [32]byte      // the responder's public identity
	Binding     [32]byte      // hash of what else a hello must agree on
	Slot        time.Duration // how long one prekey is the current one; a second at least
	Grace       time.Duration // how long it is taken after its slot
	ReplayLimit int           // hellos taken with one prekey
	// Check says whether a hello of the suite is still answered; nil means yes.
	Check func(SuiteID) error
	// Changed is called, if it is there, when Public has changed out of turn: a
	// prekey has taken its limit of hellos and was replaced. It must not block.
	Changed func()
	Now     func() time.Time // time.Now if nil
}

// Prekeys are a responder's KEM keys: the current one, the next one, and for
// a time the last one. They exist in memory only and are forgotten with their
// slot, and with them every hello that was made for them. After a restart old
// hellos cannot be opened, and so not replayed.
type Prekeys struct {
	config PrekeyConfig
	suite  *suite

	mu    sync.Mutex
	slots []*slot // oldest first; empty once closed
}

// A slot is one prekey with the hellos that it has taken.
type slot struct {
	public  Prekey
	id      PrekeyID
	private hpke.PrivateKey
	seen    map[[16]byte]struct{}
}

// NewPrekeys makes the current and the next prekey.
func NewPrekeys(c PrekeyConfig) (*Prekeys, error) {
	if c.Suite == 0 {
		c.Suite = TK1
	}
	if c.Slot <= 0 {
		c.Slot = DefaultSlot
	}
	if c.Grace <= 0 {
		c.Grace = DefaultGrace
	}
	if c.ReplayLimit <= 0 {
		c.ReplayLimit = DefaultReplayLimit
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Slot < time.Second {
		return nil, fmt.Errorf("make prekeys: a slot of %v is shorter than a second", c.Slot)
	}
	s, err := c.Suite.suite()
	if err != nil {
		return nil, err
	}
	p := &Prekeys{config: c, suite: s}
	now := c.Now()
	for _, start := range []time.Time{now, now.Add(c.Slot)} {
		made, err := p.newSlot(start, start.Add(c.Slot))
		if err != nil {
			return nil, err
		}
		p.slots = append(p.slots, made)
	}
	return p, nil
}

func (p *Prekeys) newSlot(start, end time.Time) (*slot, error) {
	private, err := p.suite.kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make a prekey: %w", err)
	}
	public := Prekey{
		Suite:     p.config.Suite,
		Public:    private.PublicKey().Bytes(),
		NotBefore: start.Unix(),
		NotAfter:  end.Unix(),
	}
	return &slot{public: public, id: public.ID(), private: private, seen: make(map[[16]byte]struct{})}, nil
}

// Public returns the prekeys to publish: the current one, then the next. It
// is empty once the prekeys are closed.
func (p *Prekeys) Public() []Prekey {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rotateLocked()
	now := p.config.Now().Unix()
	var public []Prekey
	for _, s := range p.slots {
		if now < s.public.NotAfter {
			public = append(public, s.public)
		}
	}
	return public
}

// rotateLocked forgets what is past its grace and makes what comes next. When
// that fails, for want of randomness, it is tried again with the next call;
// until then the node has fewer prekeys, never older ones.
func (p *Prekeys) rotateLocked() {
	if len(p.slots) == 0 {
		return // closed
	}
	now := p.config.Now()
	for len(p.slots) > 1 && now.Unix() >= p.slots[0].public.NotAfter+int64(p.config.Grace/time.Second) {
		p.slots = slices.Delete(p.slots, 0, 1) // also from the array behind it
	}
	for ahead := p.config.Slot; ; {
		last := time.Unix(p.slots[len(p.slots)-1].public.NotAfter, 0)
		if last.After(now.Add(ahead)) {
			return
		}
		start := last
		if now.Sub(last) > p.config.Slot { // slept through whole slots
			start = now
		}
		made, err := p.newSlot(start, start.Add(p.config.Slot))
		if err != nil {
			return
		}
		p.slots = append(p.slots, made)
	}
}

// Close forgets all private keys. Hellos are refused from then on.
func (p *Prekeys) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots = nil
}

// find returns the slot of a prekey.
func (p *Prekeys) find(id PrekeyID) (*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slots) == 0 {
		return nil, ErrClosed
	}
	p.rotateLocked()
	grace, now := int64(p.config.Grace/time.Second), p.config.Now().Unix()
	for _, s := range p.slots {
		if s.id == id && now >= s.public.NotBefore-grace && now < s.public.NotAfter+grace {
			return s, nil
		}
	}
	return nil, ErrUnknownPrekey
}

// take notes the hello's encapsulation, or returns ErrReplay or ErrFull.
func (p *Prekeys) take(s *slot, enc []byte) error {
	replaced, err := p.note(s, enc)
	if replaced && p.config.Changed != nil {
		p.config.Changed()
	}
	return err
}

func (p *Prekeys) note(s *slot, enc []byte) (replaced bool, err error) {
	sum := sha256.Sum256(enc)
	key := [16]byte(sum[:16])
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := s.seen[key]; ok {
		return false, ErrReplay
	}
	if len(s.seen) >= p.config.ReplayLimit {
		return false, ErrFull
	}
	s.seen[key] = struct{}{}
	return len(s.seen) == p.config.ReplayLimit && p.replaceLocked(s), nil
}

// replaceLocked puts a new prekey in the place of one that takes no more, so
// that who fills one does not keep others out for the rest of its slot.
func (p *Prekeys) replaceLocked(s *slot) bool {
	i := slices.Index(p.slots, s)
	end := time.Unix(s.public.NotAfter, 0)
	if i < 0 || !p.config.Now().Before(end) {
		return false
	}
	made, err := p.newSlot(time.Unix(s.public.NotBefore, 0), end)
	if err != nil {
		return false
	}
	p.slots[i] = made
	return true
}
