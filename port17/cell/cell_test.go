package cell

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/port17/shape"
	"safing/tinker"

	"github.com/google/go-cmp/cmp"
)

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []Header{
		{},
		{Circuit: 1, Command: Create},
		{Circuit: ByResponder | 7, Command: Relay},
		{Circuit: 1<<32 - 1, Command: 255},
	} {
		var b Buf
		h.Put(b[:])
		if got := ParseHeader(b[:]); got != h {
			t.Errorf("ParseHeader(%v.Put) = %v", h, got)
		}
	}
}

func TestDestroyRoundTrip(t *testing.T) {
	for _, r := range []Reason{Finished, Busy, Failed, 0, 255} {
		payload := make([]byte, 2)
		PutDestroy(payload, r, 5)
		if reason, distance := ParseDestroy(payload); reason != r || distance != 5 {
			t.Errorf("ParseDestroy = %d, %d, want %d, 5", reason, distance, r)
		}
	}
	if reason, distance := ParseDestroy([]byte{1}); reason != Protocol || distance != 0 {
		t.Errorf("ParseDestroy of one byte = %v, %d, want %v, 0", reason, distance, Protocol)
	}
}

func TestParametersRoundTrip(t *testing.T) {
	for position := range Positions {
		for _, p := range []Parameters{
			{Exit: true, Position: position},
			{Position: position, Next: [32]byte{31: 1}},
			{Position: position, Next: [32]byte{0: 1}, Delay: shape.MaxDelay, Padding: shape.Shape{Kind: shape.Constant, Rate: shape.MaxRate}},
			{Exit: true, Position: position, Delay: time.Millisecond, Padding: shape.Shape{Kind: shape.Heavy, Rate: 1}},
		} {
			b := p.Append(nil)
			if len(b) != ParametersSize {
				t.Fatalf("%v has %d bytes, want %d", p, len(b), ParametersSize)
			}
			got, rest, err := ParseParameters(append(b, "rest"...))
			if err != nil || got != p || string(rest) != "rest" {
				t.Errorf("ParseParameters = %v, %q, %v, want %v", got, rest, err, p)
			}
		}
	}
}

func TestParseParametersRefuses(t *testing.T) {
	relay := Parameters{Next: [32]byte{1}}.Append(nil)
	with := func(i int, v byte) []byte {
		b := bytes.Clone(relay)
		b[i] = v
		return b
	}
	for name, b := range map[string][]byte{
		"short":              relay[:ParametersSize-1],
		"role 0":             with(0, 0),
		"role 3":             with(0, 3),
		"position":           with(1, Positions),
		"exit with a next":   with(0, roleExit),
		"relay without next": with(7, 0),
		"long delays":        with(2, 0xff),
		"unknown shape":      with(4, 200),
		"a shape of its own": with(4, byte(shape.Own)),
		"rate without shape": with(6, 1),
		"shape without rate": with(4, byte(shape.Constant)),
	} {
		if p, _, err := ParseParameters(b); err == nil {
			t.Errorf("%s: ParseParameters = %v, want an error", name, p)
		}
	}
}

func TestHelloRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 1000, HelloSize(4, 0)} {
		burst := make([]byte, 4*PayloadSize)
		hello, padding := PutHello(burst, size)
		if whole, err := ParseBurst(burst[:1]); err != nil || whole != len(burst) {
			t.Errorf("ParseBurst = %d, %v, want %d", whole, err, len(burst))
		}
		if len(hello) != size || len(padding) != HelloSize(4, 0)-size {
			t.Fatalf("PutHello(%d) = %d and %d bytes", size, len(hello), len(padding))
		}
		for i := range hello {
			hello[i] = byte(i)
		}
		got, err := ParseHello(burst)
		if err != nil || !bytes.Equal(got, hello) {
			t.Errorf("ParseHello of %d bytes = %d bytes, %v", size, len(got), err)
		}
	}
	for _, burst := range [][]byte{nil, {3}, {3, 0, 1}, {3, 255, 255, 0}} {
		if _, err := ParseHello(burst); err == nil {
			t.Errorf("ParseHello(%v): want an error", burst)
		}
	}
	for _, payload := range [][]byte{nil, {LeastBurst - 1}, {MostBurst + 1}} {
		if _, err := ParseBurst(payload); err == nil {
			t.Errorf("ParseBurst(%v): want an error", payload)
		}
	}
}

// A hop's hello holds its parameters and exactly the next hop's hello, and a
// hop's layer exactly the next layer.
func TestSizesNest(t *testing.T) {
	for p := range Positions - 1 {
		if got, want := HelloSize(4, p)-tinker.TK1.HelloOverhead()-ParametersSize, HelloSize(4, p+1); got != want {
			t.Errorf("hello at %d holds %d bytes, want %d", p, got, want)
		}
		if got, want := ContentSize(p), LayerSize(p+1); got != want {
			t.Errorf("layer at %d holds %d bytes, want %d", p, got, want)
		}
	}
	if LayerSize(0) != PayloadSize {
		t.Errorf("LayerSize(0) = %d, want %d", LayerSize(0), PayloadSize)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	frames := []Frame{
		{Type: OpenFrame, Stream: 1, Data: []byte("target")},
		{Type: OpenedFrame, Stream: 1<<32 - 1},
		{Type: OpenedFrame, Stream: 1, Data: NetworkOf(netip.MustParseAddr("192.0.2.1"))},
		{Type: OpenedFrame, Stream: 1, Data: NetworkOf(netip.MustParseAddr("2001:db8:1:2::3"))},
		{Type: DataFrame, Stream: 2, Data: []byte{}},
		{Type: DataFrame, Stream: 2, Data: bytes.Repeat([]byte{0}, 65535)},
		{Type: EndFrame, Stream: 3},
		{Type: ResetFrame, Stream: 4, Reason: Refused},
		{Type: StopFrame, Stream: 5},
		{Type: WindowFrame, Stream: 6, Value: 1<<64 - 1},
		{Type: AckFrame, Value: 1 << 40},
	}
	var content []byte
	for _, f := range frames {
		before := len(content)
		content = f.Append(content)
		if n := len(content) - before; f.Type != OpenFrame && f.Type != DataFrame && n > MaxControlFrame {
			t.Errorf("%v has %d bytes, want at most %d", f, n, MaxControlFrame)
		}
	}
	content = append(content, 0, 0, 0)
	var got []Frame
	for {
		f, rest, err := NextFrame(content)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == EndOfFrames {
			break
		}
		got, content = append(got, f), rest
	}
	if d := cmp.Diff(frames, got); d != "" {
		t.Error(d)
	}
}

func TestNextFrameRefuses(t *testing.T) {
	for _, f := range []Frame{
		{Type: OpenFrame, Data: []byte("x")},
		{Type: OpenedFrame},
		{Type: OpenedFrame, Data: make([]byte, network6)},
		{Type: DataFrame, Data: []byte("x")},
		{Type: EndFrame},
		{Type: ResetFrame},
		{Type: StopFrame},
		{Type: WindowFrame},
		{Type: AckFrame},
	} {
		b := f.Append(nil)
		for n := 1; n < len(b); n++ {
			if _, _, err := NextFrame(b[:n]); err == nil {
				t.Errorf("type %d cut to %d of %d bytes: want an error", f.Type, n, len(b))
			}
		}
	}
	for _, b := range [][]byte{{9, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 1, 4, 192, 0, 2, 1}, {2, 0, 0, 0, 1, 255}} {
		if _, _, err := NextFrame(b); err == nil {
			t.Errorf("%v: want an error", b)
		}
	}
}

// What an exit says of an address is the network that it is in.
func TestNetwork(t *testing.T) {
	for _, test := range []struct{ addr, want string }{
		{"192.0.2.77", "192.0.2.0/24"},
		{"::ffff:192.0.2.77", "192.0.2.0/24"},
		{"2001:db8:1:2::3", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/48"},
	} {
		f, _, err := NextFrame(Frame{Type: OpenedFrame, Stream: 1, Data: NetworkOf(netip.MustParseAddr(test.addr))}.Append(nil))
		if got := f.Network(); err != nil || got.String() != test.want {
			t.Errorf("%s: %v, %v, want %s", test.addr, got, err, test.want)
		}
	}
	for _, f := range []Frame{{Type: OpenedFrame}, {Type: OpenedFrame, Data: NetworkOf(netip.Addr{})}, {Type: DataFrame, Data: []byte("abc")}} {
		if got := f.Network(); got.IsValid() {
			t.Errorf("%+v names %v", f, got)
		}
	}
}

func TestPutDataHeader(t *testing.T) {
	b := make([]byte, DataOverhead, DataOverhead+3)
	PutDataHeader(b, 77, 3)
	want := Frame{Type: DataFrame, Stream: 77, Data: []byte("abc")}
	if got := append(b, "abc"...); !bytes.Equal(got, want.Append(nil)) {
		t.Errorf("PutDataHeader = %x, want %x", got, want.Append(nil))
	}
}

func TestNewTarget(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ host, want string }{
		{"example.com", "example.com:443"},
		{"example.com.", "example.com:443"},
		{"_dmarc.xn--mnchen-3ya.de", "_dmarc.xn--mnchen-3ya.de:443"},
		{long + ".de", long + ".de:443"},
		{"192.0.2.1", "192.0.2.1:443"},
		{"192.0.2.1.", "192.0.2.1:443"},
		{"2001:db8::1", "[2001:db8::1]:443"},
		{"[2001:db8::1]", "[2001:db8::1]:443"},
		{"fe80::1%eth0", "[fe80::1]:443"},
		{"::ffff:192.0.2.1", "192.0.2.1:443"},
		{"", ""},
		{".", ""},
		{"a..b", ""},
		{"a.b..", ""},
		{"a b", ""},
		{"münchen.de", ""},
		{long + "a.de", ""},
		{strings.Repeat("a.", 127), strings.Repeat("a.", 126) + "a:443"},
		{strings.Repeat("a.", 127) + "a", ""},
	} {
		target, err := NewTarget(c.host, 443)
		if (err == nil) != (c.want != "") {
			t.Errorf("NewTarget(%q): %v", c.host, err)
			continue
		}
		if err != nil {
			continue
		}
		if target.String() != c.want {
			t.Errorf("NewTarget(%q) = %s, want %s", c.host, target, c.want)
		}
		wire := target.Append(nil)
		if len(wire) > MaxTarget {
			t.Errorf("NewTarget(%q) has %d bytes, want at most %d", c.host, len(wire), MaxTarget)
		}
		if got, err := ParseTarget(wire); err != nil || got != target {
			t.Errorf("ParseTarget(%x) = %v, %v, want %v", wire, got, err, target)
		}
	}
	if _, err := NewTarget("example.com", 0); err == nil {
		t.Error("port 0: want an error")
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for name, target := range map[string]Target{
		"port 0":               {Host: "a.de"},
		"address as name":      {Host: "192.0.2.1", Port: 1},
		"mapped address":       {Addr: netip.MustParseAddr("::ffff:192.0.2.1"), Port: 1},
		"name with wrong byte": {Host: "a/b", Port: 1},
		"UDP with a port":      {UDP: true, Port: 53},
		"directory's port":     {Directory: true, Port: 80},
	} {
		if got, err := ParseTarget(target.Append(nil)); err == nil {
			t.Errorf("%s: ParseTarget = %v, want an error", name, got)
		}
		if target.Validate() == nil {
			t.Errorf("%s: Validate: want an error", name)
		}
	}
	for _, b := range []string{"", "\x01\xbb\x01", "\x01\xbb\x01\x02a", "\x01\xbb\x01\x01ab", "\x01\xbb\x04\x01\x02\x03", "\x01\xbb\x05a", "\x00\x00\x11a", "\x00\x00\x02a"} {
		if got, err := ParseTarget([]byte(b)); err == nil {
			t.Errorf("ParseTarget(%q) = %v, want an error", b, got)
		}
	}
}

func TestReasonTexts(t *testing.T) {
	seen := make(map[string]Reason)
	for i := range 256 {
		r := Reason(i)
		text := r.String()
		if before, ok := seen[text]; ok || text == "" {
			t.Errorf("reason %d says %q as %d does", r, text, before)
		}
		seen[text] = r
		known := r.Known()
		if generic := strings.HasPrefix(text, "reason "); generic == known {
			t.Errorf("reason %d says %q", r, text)
		}
	}
}

func TestPoolCounts(t *testing.T) {
	var p Pool
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			one, two, three := p.Get(), p.Get(), p.Get()
			p.PutBlock(p.GetBlock()) // not counted
			p.Put(one)
			bufs := []*Buf{two, three}
			p.PutAll(bufs)
			if bufs[0] != nil || bufs[1] != nil {
				t.Error("PutAll has not cleared the slice")
			}
		})
	}
	kept := p.Get()
	all.Wait()
	if n := p.Used(); n != 1 {
		t.Errorf("Used = %d, want 1", n)
	}
	p.Put(kept)
}
