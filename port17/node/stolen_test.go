package node

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"math"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/tinker"
)

// Who takes a node's keys out of its memory can't open what was recorded before,
// but for the last cells, nor, without taking part, what comes after the keys
// were renewed: of a circuit, of a link, in either direction. The node opens all
// of it.
func TestStolenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, second := lone(t)
		a, first := lone(t)
		a.extendTo(t, b, second, 0)
		near, far := net.Pipe()
		wire := &tap{Conn: near}
		l := a.enterOver(t, wire, far, first, link.Config{})
		c, _, err := circuit.Dial(l, []circuit.Hop{first, second}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-c.Built()
		refuse(t, c) // the first record behind the reply
		synctest.Wait()
		r := a.circuits.all()[0]

		before := wire.record(t, l, c)
		time.Sleep(11 * time.Second) // message keys last for ten
		wire.record(t, l, c)
		circuitKeys, linkKeys := r.session, value[*tinker.Session](r.back.Link(), "session")
		stolen := map[string]*tinker.Sealer{
			"circuit, forward":  sealer(circuitKeys.Recv),
			"circuit, backward": image(circuitKeys.Send),
			"link, forward":     sealer(linkKeys.Recv),
			"link, backward":    image(linkKeys.Send),
		}
		at := wire.record(t, l, c)
		time.Sleep(6 * time.Minute) // a link renews its keys after five
		later := wire.record(t, l, c)
		time.Sleep(6 * time.Minute)
		last := wire.record(t, l, c)
		if err := c.Err(); err != nil {
			t.Fatalf("the circuit: %v", err)
		}
		for name, keys := range stolen {
			for _, test := range []struct {
				when     string
				messages [][]byte
				keys     int
				want     bool
			}{
				{"before the theft", before[name], 1, false},
				{"at the theft", at[name][99:], 8, true},
				{"after one renewal or more", later[name][:2], 64, false},
				{"after two or more", last[name][:2], 64, false},
			} {
				if got := opens(keys, r.cut(name, test.messages), test.keys); got != test.want {
					t.Errorf("%s, %s: one of %d messages opens: %v, want %v", name, test.when, len(test.messages), got, test.want)
				}
			}
		}
	})
}

// cut returns the parts of messages that are sealed with the keys.
func (r *relay) cut(name string, messages [][]byte) [][]byte {
	if strings.HasPrefix(name, "link") {
		return messages
	}
	var layers [][]byte
	for _, m := range messages {
		layers = append(layers, m[:cell.LayerSize(r.position)])
	}
	return layers
}

// opens tries whether any of the messages opens with the key that is stolen, or
// those of its chain that come next.
func opens(stolen *tinker.Sealer, messages [][]byte, keys int) bool {
	s := image(stolen)
	at(s, "limits").Set(reflect.ValueOf(tinker.Limits{Life: math.MaxInt64, Root: math.MaxInt64, RootBytes: math.MaxUint64}))
	for range keys {
		for _, m := range messages {
			for count := range uint64(64) {
				nonce := binary.BigEndian.AppendUint64(make([]byte, 4, 12), count)
				if _, err := value[cipher.AEAD](s, "aead").Open(nil, nonce, m, nil); err == nil {
					return true
				}
			}
		}
		for s.Seal(make([]byte, 100), 1) == nil && at(s, "units").Int() > 0 {
		}
	}
	return false
}

// A tap records what passes.
type tap struct {
	net.Conn

	mu                sync.Mutex
	forward, backward bytes.Buffer
}

func (w *tap) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.forward.Write(b)
	w.mu.Unlock()
	return w.Conn.Write(b)
}

func (w *tap) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backward.Write(b[:n])
	return n, err
}

// record has 100 cells pass in each direction, and returns the link's records
// and the circuit's payloads that are in them.
func (w *tap) record(t *testing.T, l *link.Link, c *circuit.Circuit) map[string][][]byte {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	w.forward.Reset()
	w.backward.Reset()
	w.mu.Unlock()
	keys := value[*tinker.Session](l, "session")
	forward, backward := opener(keys.Send), image(keys.Recv)
	for range 100 {
		refuse(t, c)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string][][]byte)
	all["link, forward"], all["circuit, forward"] = parse(t, forward, w.forward.Bytes())
	all["link, backward"], all["circuit, backward"] = parse(t, backward, w.backward.Bytes())
	return all
}

// refuse opens a stream, which the exit's policy does not allow: a cell in each
// direction.
func refuse(t *testing.T, c *circuit.Circuit) {
	t.Helper()
	s, err := c.Open(cell.Target{Host: "example.com", Port: 80}, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	synctest.Wait()
}

// parse takes what was recorded apart.
func parse(t *testing.T, keys *tinker.Opener, b []byte) (records, payloads [][]byte) {
	t.Helper()
	for len(b) > 0 {
		size := 2 + int(b[1])*cell.Size + tinker.LayerOverhead
		record := bytes.Clone(b[2:size])
		b = b[size:]
		records = append(records, record)
		_, cells, err := keys.OpenTo(nil, record)
		if err != nil {
			t.Fatal(err)
		}
		for ; len(cells) > 0; cells = cells[cell.Size:] {
			if cell.ParseHeader(cells).Command == cell.Relay {
				payloads = append(payloads, bytes.Clone(cells[cell.HeaderSize:cell.Size]))
			}
		}
	}
	return records, payloads
}

// opener is what opens a sealer's messages, as the keys of both are the same.
func opener(s *tinker.Sealer) *tinker.Opener {
	o := new(tinker.Opener)
	at(o, "direction").Set(at(image(s), "direction"))
	return o
}

// sealer is the other way round: only sealers go on to their next key alone.
func sealer(o *tinker.Opener) *tinker.Sealer {
	s := new(tinker.Sealer)
	at(s, "direction").Set(at(image(o), "direction"))
	return s
}

// at is a field in memory, also one that is private.
func at(of any, name string) reflect.Value {
	f := reflect.ValueOf(of).Elem().FieldByName(name)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

func value[T any](of any, name string) T { return at(of, name).Interface().(T) }

// image copies keys as they lie in memory.
func image[T any](of *T) *T {
	c := new(T)
	imageTo(reflect.ValueOf(c).Elem(), reflect.ValueOf(of).Elem())
	return c
}

func imageTo(to, from reflect.Value) {
	to = reflect.NewAt(to.Type(), unsafe.Pointer(to.UnsafeAddr())).Elem()
	from = reflect.NewAt(from.Type(), unsafe.Pointer(from.UnsafeAddr())).Elem()
	to.Set(from) // whatever is changed by use is copied below
	switch {
	case from.Kind() == reflect.Struct:
		for i := range from.NumField() {
			imageTo(to.Field(i), from.Field(i))
		}
	case from.Kind() == reflect.Slice && !from.IsNil():
		to.Set(reflect.AppendSlice(reflect.MakeSlice(from.Type(), 0, from.Len()), from))
	case from.Kind() == reflect.Pointer && !from.IsNil() && from.Type().Elem().Name() == "chain":
		to.Set(reflect.New(from.Type().Elem()))
		imageTo(to.Elem(), from.Elem())
	}
}
