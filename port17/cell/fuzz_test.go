package cell

import (
	"bytes"
	"net/netip"
	"testing"
)

func FuzzParseParameters(f *testing.F) {
	f.Add(Parameters{Exit: true, Position: 2}.Append(nil))
	f.Add(append(Parameters{Next: [32]byte{1}}.Append(nil), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, rest, err := ParseParameters(b)
		if err != nil {
			return
		}
		if again := append(p.Append(nil), rest...); !bytes.Equal(again, b) {
			t.Errorf("%x reads as %+v, which is %x", b, p, again)
		}
	})
}

func FuzzParseHello(f *testing.F) {
	f.Add([]byte{3, 0, 0})
	f.Add([]byte{3, 0, 3, 1, 2, 3, 4})
	f.Add([]byte{3, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		hello, err := ParseHello(b)
		if err != nil {
			return
		}
		again := make([]byte, len(b))
		place, padding := PutHello(again, len(hello))
		copy(place, hello)
		copy(padding, b[burstHeader+len(hello):])
		if !bytes.Equal(again[1:], b[1:]) {
			t.Errorf("%x becomes %x", b, again)
		}
	})
}

func FuzzNextFrame(f *testing.F) {
	content := Frame{Type: OpenFrame, Stream: 1, Data: []byte("target")}.Append(nil)
	content = Frame{Type: DataFrame, Stream: 1, Data: []byte("data")}.Append(content)
	content = Frame{Type: WindowFrame, Stream: 1, Value: 1 << 20}.Append(content)
	content = Frame{Type: ResetFrame, Stream: 1, Reason: Refused}.Append(content)
	content = Frame{Type: AckFrame, Value: 32}.Append(content)
	f.Add(append(content, 0, 0))
	f.Add([]byte{byte(EndFrame), 0, 0, 0, 1, byte(StopFrame), 0, 0, 0, 1, byte(OpenedFrame), 0, 0, 0, 1, 3, 192, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		for content := b; ; {
			frame, rest, err := NextFrame(content)
			if err != nil {
				return
			}
			if frame.Type == EndOfFrames {
				if rest != nil || len(content) > 0 && content[0] != 0 {
					t.Fatalf("frames end at %x", content)
				}
				return
			}
			if len(rest) >= len(content) {
				t.Fatalf("%x leaves %d bytes", content, len(rest))
			}
			if again := append(frame.Append(nil), rest...); !bytes.Equal(again, content) {
				t.Fatalf("%x reads as %+v, which is %x", content, frame, again)
			}
			content = rest
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	f.Add(Target{Host: "example.com", Port: 443}.Append(nil))
	f.Add(Target{Addr: netip.MustParseAddr("192.0.2.1"), Port: 80}.Append(nil))
	f.Add(Target{Addr: netip.MustParseAddr("2001:db8::1"), Port: 1}.Append(nil))
	f.Add(Target{UDP: true}.Append(nil))
	f.Add(Target{Directory: true}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		target, err := ParseTarget(b)
		if err != nil {
			return
		}
		if again := target.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x reads as %s, which is %x", b, target, again)
		}
		if target.UDP || target.Directory {
			return
		}
		host := target.Host
		if host == "" {
			host = target.Addr.String()
		}
		if same, err := NewTarget(host, target.Port); err != nil || same != target {
			t.Errorf("NewTarget(%q) = %v, %v, want %v", host, same, err, target)
		}
	})
}

func FuzzParseDatagramHeader(f *testing.F) {
	f.Add(AppendDatagramHeader(nil, Target{Host: "example.com", Port: 53}, 0))
	f.Add(AppendDatagramHeader(nil, Target{Addr: netip.MustParseAddr("192.0.2.1"), Port: 80}, MaxDatagram))
	f.Add(append(AppendDatagramHeader(nil, Target{Addr: netip.MustParseAddr("2001:db8::1"), Port: 1}, 3), 1, 2, 3))
	f.Add([]byte{0, 0, 0, 0, kindUDP})
	f.Add([]byte{0, 0, 0, 0, kindDirectory})
	f.Add([]byte{255, 255, 0, 53, kindHost, 254})
	f.Fuzz(func(t *testing.T, b []byte) {
		target, length, size, err := ParseDatagramHeader(b)
		if err != nil {
			return
		}
		if size == 0 {
			if len(b) >= MaxDatagramHeader {
				t.Fatalf("%d bytes are too few for a header", len(b))
			}
			return
		}
		if again := AppendDatagramHeader(nil, target, length); !bytes.Equal(again, b[:size]) {
			t.Errorf("%x reads as %s and %d, which is %x", b, target, length, again)
		}
		if target.UDP || target.Directory || target.Validate() != nil || length > MaxDatagram {
			t.Errorf("a datagram of %d bytes with the target %v", length, target)
		}
		// What arrives in pieces is found out with the last one, no sooner.
		for i := range size {
			if _, _, n, err := ParseDatagramHeader(b[:i]); n != 0 || err != nil {
				t.Fatalf("%x reads as a header of %d bytes, %v", b[:i], n, err)
			}
		}
	})
}
