package tinker

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func newPair(t testing.TB, id SuiteID) (*Prekeys, Recipient) {
	t.Helper()
	c := PrekeyConfig{Suite: id, Identity: [32]byte{1}, Binding: [32]byte{2}, ReplayLimit: 1 << 30}
	p, err := NewPrekeys(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, Recipient{Identity: c.Identity, Binding: c.Binding, Prekey: p.Public()[0]}
}

// handshake runs a whole one and returns both sessions.
func handshake(t testing.TB, id SuiteID) (initiator, responder *Session) {
	t.Helper()
	keys, to := newPair(t, id)
	i, hello, err := Initiate(to, "test", []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := keys.Respond("test", hello)
	if err != nil {
		t.Fatal(err)
	}
	if initiator, err = i.Finish(r.Reply); err != nil {
		t.Fatal(err)
	}
	return initiator, r.Session
}

func TestHandshake(t *testing.T) {
	perSuite(t, func(t *testing.T, id SuiteID) {
		keys, to := newPair(t, id)
		i, hello, err := Initiate(to, "test", []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(hello), len("payload")+id.HelloOverhead(); got != want {
			t.Errorf("hello has %d bytes, want %d", got, want)
		}
		if got, err := HelloSuite(hello); got != id || err != nil {
			t.Errorf("its suite: %v, %v", got, err)
		}
		early := seal(t, i.Early(), []byte("early"), 7)

		r, err := keys.Respond("test", hello)
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Payload) != "payload" || len(r.Reply) != id.ReplySize() {
			t.Errorf("payload %q, reply of %d bytes", r.Payload, len(r.Reply))
		}
		typ, content, err := r.Early.Open(early)
		if err != nil || typ != 7 || string(content) != "early" {
			t.Errorf("early data: type %d, %q, %v", typ, content, err)
		}
		back := seal(t, r.Session.Send, []byte("answer"), 1)

		reply, rest, err := i.SplitReply(append(bytes.Clone(r.Reply), "rest"...))
		if err != nil || string(rest) != "rest" {
			t.Fatalf("split the reply: %q, %v", rest, err)
		}
		s, err := i.Finish(reply)
		if err != nil {
			t.Fatal(err)
		}
		if s.Transcript != r.Session.Transcript || s.Suite() != id || r.Session.Suite() != id {
			t.Error("the two sides do not agree")
		}
		if got := open(t, s.Recv, back); string(got) != "answer" {
			t.Errorf("answer: %q", got)
		}
		if got := open(t, r.Session.Recv, seal(t, s.Send, []byte("more"), 1)); string(got) != "more" {
			t.Errorf("more: %q", got)
		}
	})
}

// eachFlip calls check with the message, one bit of it flipped: each bit in
// turn, or in short tests one of each byte. It shares the bits between cores.
func eachFlip(t *testing.T, message []byte, check func(flipped []byte) error) {
	t.Helper()
	stride := 1
	if testing.Short() {
		stride = 7 // not 8: all places of a bit
	}
	t.Run("flip", func(t *testing.T) {
		const parts = 16
		for part := range parts {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				for bit := part * stride; bit < 8*len(message); bit += parts * stride {
					flipped := bytes.Clone(message)
					flipped[bit/8] ^= 1 << (bit % 8)
					if err := check(flipped); err != nil {
						t.Fatalf("bit %d: %v", bit, err)
					}
				}
			})
		}
	})
}

// No bit of a hello may be changed, nor what both must agree on.
func TestHelloIsBound(t *testing.T) {
	perSuite(t, func(t *testing.T, id SuiteID) {
		t.Parallel()
		keys, to := newPair(t, id)
		_, hello, err := Initiate(to, "test", []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		eachFlip(t, hello, func(flipped []byte) error {
			if _, err := keys.Respond("test", flipped); err == nil {
				return errors.New("the hello was answered")
			}
			return nil
		})
		for n := range 64 {
			if _, err := keys.Respond("test", hello[:n*len(hello)/64]); err == nil {
				t.Fatalf("a hello cut to %d bytes was answered", n)
			}
		}
		if _, err := keys.Respond("other", hello); !errors.Is(err, ErrDecrypt) {
			t.Errorf("hello with another label: %v, want %v", err, ErrDecrypt)
		}
		other := to
		other.Binding[0]++
		_, wrong, _ := Initiate(other, "test", nil)
		if _, err := keys.Respond("test", wrong); !errors.Is(err, ErrDecrypt) {
			t.Errorf("hello with another binding: %v, want %v", err, ErrDecrypt)
		}
		other = to
		other.Identity[0]++
		_, wrong, _ = Initiate(other, "test", nil)
		if _, err := keys.Respond("test", wrong); !errors.Is(err, ErrDecrypt) {
			t.Errorf("hello with another identity: %v, want %v", err, ErrDecrypt)
		}
		if _, err := keys.Respond("test", hello); err != nil {
			t.Errorf("after all that, the hello itself: %v", err)
		}
	})
}

func TestReplyIsBound(t *testing.T) {
	perSuite(t, func(t *testing.T, id SuiteID) {
		t.Parallel()
		keys, to := newPair(t, id)
		i, hello, _ := Initiate(to, "test", nil)
		r, err := keys.Respond("test", hello)
		if err != nil {
			t.Fatal(err)
		}
		eachFlip(t, r.Reply, func(flipped []byte) error {
			again := *i // each goroutine has its own
			if _, err := again.Finish(flipped); !errors.Is(err, ErrDecrypt) {
				return fmt.Errorf("%v, want %v", err, ErrDecrypt)
			}
			return nil
		})
		for n := range 64 {
			if _, err := i.Finish(r.Reply[:n*len(r.Reply)/64]); !errors.Is(err, ErrDecrypt) {
				t.Fatalf("a reply cut to %d of 64 parts: %v", n, err)
			}
		}
		if _, err := i.Finish(r.Reply); err != nil {
			t.Errorf("after all that, the reply itself: %v", err)
		}
	})
}

// A suite that the responder no longer wants is refused, also with a prekey
// that it still has.
func TestHelloOfARefusedSuite(t *testing.T) {
	forbidden := false
	no := errors.New("forbidden")
	keys, err := NewPrekeys(PrekeyConfig{Suite: TK2, Check: func(id SuiteID) error {
		if id != TK2 || !forbidden {
			return nil
		}
		return no
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, hello, _ := Initiate(Recipient{Prekey: keys.Public()[0]}, "test", nil)
	if _, err := keys.Respond("test", hello); err != nil {
		t.Fatal(err)
	}
	forbidden = true
	_, hello, _ = Initiate(Recipient{Prekey: keys.Public()[0]}, "test", nil)
	if _, err := keys.Respond("test", hello); !errors.Is(err, ErrSuiteRefused) || !errors.Is(err, no) {
		t.Errorf("a hello of a forbidden suite: %v", err)
	}
}

func TestRetry(t *testing.T) {
	keys, _ := newPair(t, TK1)
	_, old := newPair(t, TK1)
	i, hello, _ := Initiate(old, "test", nil)
	_, err := keys.Respond("test", hello)
	if !errors.Is(err, ErrUnknownPrekey) {
		t.Fatalf("a prekey of somebody else: %v, want %v", err, ErrUnknownPrekey)
	}
	reply, err := Retry([]byte("descriptor"))
	if err != nil {
		t.Fatal(err)
	}
	reply, rest, err := i.SplitReply(append(reply, "rest"...))
	if err != nil || string(rest) != "rest" {
		t.Fatalf("split the reply: %q, %v", rest, err)
	}
	_, err = i.Finish(reply)
	var retry *RetryError
	if !errors.As(err, &retry) || string(retry.Descriptor) != "descriptor" || !errors.Is(err, ErrUnknownPrekey) {
		t.Errorf("%v, want a retry with the descriptor", err)
	}
	for _, size := range []int{0, MaxDescriptor + 1} {
		if _, err := Retry(make([]byte, size)); err == nil {
			t.Errorf("a retry with a descriptor of %d bytes was made", size)
		}
	}
	for _, cut := range [][]byte{nil, {replyRetry}, {replyRetry, 0, 2, 1}, {9, 0, 0}, {replyAccept, 1, 2}} {
		if _, _, err := i.SplitReply(cut); err == nil {
			t.Errorf("%x was split", cut)
		}
		if _, err := i.Finish(cut); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%x: %v, want %v", cut, err, ErrDecrypt)
		}
	}
}

func TestReplay(t *testing.T) {
	keys, to := newPair(t, TK1)
	_, hello, _ := Initiate(to, "test", nil)
	if _, err := keys.Respond("test", hello); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Respond("test", hello); !errors.Is(err, ErrReplay) {
		t.Errorf("the same hello again: %v, want %v", err, ErrReplay)
	}
}

// Who fills a prekey with hellos keeps nobody out: there is another one, for
// the same slot, of which the responder is told.
func TestReplayLimit(t *testing.T) {
	changed := 0
	keys, err := NewPrekeys(PrekeyConfig{ReplayLimit: 2, Changed: func() { changed++ }})
	if err != nil {
		t.Fatal(err)
	}
	before := keys.Public()
	respond := func(to Prekey) error {
		_, hello, err := Initiate(Recipient{Prekey: to}, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = keys.Respond("test", hello)
		return err
	}
	for n, want := range []error{nil, nil, ErrUnknownPrekey} {
		if err := respond(before[0]); !errors.Is(err, want) {
			t.Errorf("hello %d: %v, want %v", n, err, want)
		}
	}
	after := keys.Public()
	if changed != 1 || len(after) != 2 || after[0].ID() == before[0].ID() || after[1].ID() != before[1].ID() {
		t.Errorf("told %d times; prekeys before %v, after %v", changed, before, after)
	}
	if after[0].NotBefore != before[0].NotBefore || after[0].NotAfter != before[0].NotAfter {
		t.Error("the new prekey has another slot")
	}
	if err := respond(after[0]); err != nil {
		t.Errorf("the new prekey: %v", err)
	}
}

// The next prekey is taken when its slot is near, and not hours before.
func TestNextPrekeyIsNotTakenYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, _ := newPair(t, TK1)
		to := Recipient{Identity: [32]byte{1}, Binding: [32]byte{2}, Prekey: keys.Public()[1]}
		_, hello, _ := Initiate(to, "test", nil)
		if _, err := keys.Respond("test", hello); !errors.Is(err, ErrUnknownPrekey) {
			t.Errorf("a slot before its time: %v, want %v", err, ErrUnknownPrekey)
		}
		time.Sleep(DefaultSlot - DefaultGrace)
		if _, err := keys.Respond("test", hello); err != nil {
			t.Errorf("shortly before its time: %v", err)
		}
	})
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, to := newPair(t, TK1)
		_, hello, _ := Initiate(to, "test", nil)
		first := keys.Public()
		if len(first) != 2 || first[0].NotAfter != first[1].NotBefore {
			t.Fatalf("%d prekeys; want two, one behind the other", len(first))
		}
		time.Sleep(DefaultSlot)
		second := keys.Public()
		if len(second) != 2 || second[0].ID() != first[1].ID() {
			t.Error("the next prekey did not become the current one")
		}
		if err := first[0].Check(time.Now()); !errors.Is(err, ErrPrekeyExpired) {
			t.Errorf("after its slot: %v, want %v", err, ErrPrekeyExpired)
		}
		if _, err := keys.Respond("test", hello); err != nil {
			t.Errorf("within the grace: %v", err)
		}
		time.Sleep(DefaultGrace)
		_, late, _ := Initiate(to, "test", nil)
		if _, err := keys.Respond("test", late); !errors.Is(err, ErrUnknownPrekey) {
			t.Errorf("after the grace: %v, want %v", err, ErrUnknownPrekey)
		}
		time.Sleep(30 * DefaultSlot)
		if p := keys.Public(); len(p) != 2 || p[0].Check(time.Now()) != nil {
			t.Error("after a long sleep there is no current prekey")
		}
		keys.Close()
		if _, err := keys.Respond("test", hello); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v, want %v", err, ErrClosed)
		}
	})
}

// Nothing but the slots themselves may keep a private key from the garbage
// collector.
func TestPrekeysAreForgotten(t *testing.T) {
	now := time.Now()
	keys, err := NewPrekeys(PrekeyConfig{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		oldest := weak.Make(keys.slots[0])
		now = time.Unix(keys.slots[0].public.NotAfter, 0)
		keys.Public() // makes the next one
		now = now.Add(DefaultGrace)
		keys.Public() // forgets the oldest
		runtime.GC()
		if oldest.Value() != nil {
			t.Errorf("after %d slots the oldest prekey is still in memory", n+1)
		}
	}
	runtime.KeepAlive(keys)
}

// Slots are counted in seconds: shorter ones would never end.
func TestShortestSlot(t *testing.T) {
	if _, err := NewPrekeys(PrekeyConfig{Slot: time.Second - 1}); err == nil {
		t.Error("a slot shorter than its unit was taken")
	}
	keys, err := NewPrekeys(PrekeyConfig{Slot: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(keys.Public()); n < 2 {
		t.Errorf("%d prekeys, want two", n)
	}
}

// A route in one flight, of any suites, fills a fixed number of cells.
func TestRoute(t *testing.T) {
	const size = 4 * 4091
	suites := []SuiteID{TK1, TK3, TK2, TK1}
	keys, hops := make([]*Prekeys, len(suites)), make([]Hop, len(suites))
	for i, id := range suites {
		keys[i], hops[i].Recipient = newPair(t, id)
		hops[i].Parameters = []byte{byte(i)}
	}
	overhead, err := RouteOverhead(hops)
	if err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, size-overhead-len(hops))
	copy(rest, "for the last")
	initiators, hello, err := InitiateRoute("test", hops, rest)
	if err != nil {
		t.Fatal(err)
	}
	if len(hello) != size {
		t.Errorf("the hello has %d bytes, want %d", len(hello), size)
	}
	for i := range hops {
		r, err := keys[i].Respond("test", hello)
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		if _, err := initiators[i].Finish(r.Reply); err != nil {
			t.Errorf("hop %d: %v", i, err)
		}
		if r.Payload[0] != byte(i) {
			t.Errorf("hop %d got the parameters of hop %d", i, r.Payload[0])
		}
		hello = r.Payload[1:]
	}
	if !bytes.Equal(hello, rest) {
		t.Errorf("the last hop got %q", bytes.TrimRight(hello, "\x00"))
	}
	hops[1].Prekey.Suite = 99
	if _, err := RouteOverhead(hops); !errors.Is(err, ErrUnknownSuite) {
		t.Errorf("an unknown suite: %v", err)
	}
	if _, _, err := InitiateRoute("test", hops, rest); !errors.Is(err, ErrUnknownSuite) {
		t.Errorf("an unknown suite: %v", err)
	}
}
