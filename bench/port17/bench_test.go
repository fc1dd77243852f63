package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, args := range [][]string{{"--parts", "loop,lop"}, {"--rounds", "0"}, {"--window", "0s"}, {"--delay", "-1s"}, {"--parts", ""}} {
		if _, err := parse(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	b, err := parse([]string{"--parts", "memory,loop", "--only", "Tor,Port17"}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.parts, []string{"memory", "loop"}) || !b.chosen("Tor") || b.chosen("direct") {
		t.Errorf("got %+v", b)
	}
}

func TestParseStat(t *testing.T) {
	stat := []byte("17 (a) name (x) S 1 17 17 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 9 0 1 2 3")
	if got := parseStat(stat); got != 3*time.Second {
		t.Errorf("got %v, want 3s", got)
	}
	if got := parseStat([]byte("17 (name")); got != 0 {
		t.Errorf("got %v of half a line", got)
	}
}

func TestParseCircuits(t *testing.T) {
	text := "250+circuit-status=\r\n7 BUILT $A~a,$B~b PURPOSE=GENERAL\r\n8 LAUNCHED PURPOSE=GENERAL\r\n.\r\n250-circuit-status=9 BUILT $A~a PURPOSE=GENERAL\r\n"
	if got := parseCircuits(text); !slices.Equal(got, []string{"7", "9"}) {
		t.Errorf("got %q", got)
	}
}

func TestSummaries(t *testing.T) {
	if m := median([]float64{3, 1, 2, 10}); m != 2.5 {
		t.Errorf("median is %v", m)
	}
	var v []float64
	for i := range 200 {
		v = append(v, float64(200-i))
	}
	if p := p99(v); p != 198 {
		t.Errorf("p99 is %v", p)
	}
	if p := p99([]float64{4}); p != 4 {
		t.Errorf("p99 of one value is %v", p)
	}
}

// What goes in at the entry comes out at the exit, and the other way round.
func TestCells(t *testing.T) {
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	var up, down []codec
	for position := range 4 {
		u, d := cellCodecs(position)
		up, down = append(up, u), append([]codec{d}, down...)
	}
	for _, way := range [][]codec{up, down} {
		b := data
		for i, c := range way {
			var out bytes.Buffer
			if err := c(&out, bytes.NewReader(b)); err != io.EOF {
				t.Fatalf("step %d: %v", i, err)
			}
			b = out.Bytes()
		}
		if !bytes.Equal(b, data) {
			t.Error("other bytes came out")
		}
	}
}

func TestSocks(t *testing.T) {
	user, proxy := net.Pipe()
	defer user.Close()
	got := make(chan []byte, 1)
	go func() {
		defer proxy.Close()
		var all []byte
		for _, step := range []struct {
			in    int
			reply []byte
		}{{3, []byte{5, 2}}, {6, []byte{1, 0}}, {10 + requestSize, []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}}} {
			b := make([]byte, step.in)
			if _, err := io.ReadFull(proxy, b); err != nil {
				return
			}
			all = append(all, b...)
			proxy.Write(step.reply)
		}
		got <- all
	}()
	to := target{Addr: "10.102.0.1:8080", User: "ab"}
	if err := to.connect(user, request(1)); err != nil {
		t.Fatal(err)
	}
	want := []byte{5, 1, 2, 1, 2, 'a', 'b', 1, 'x', 5, 1, 0, 1, 10, 102, 0, 1, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 1}
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("sent %x, want %x", b, want)
	}
}

func TestBars(t *testing.T) {
	b := &bench{out: io.Discard, raw: nil}
	if err := b.printBars(); err != nil {
		t.Fatal(err)
	}
	most, least := bar{limit: 2}, bar{limit: 2, atLeast: true}
	if most.holds(3) || !most.holds(2) || least.holds(1) || !least.holds(2) {
		t.Error("a bar holds on the wrong side")
	}
}
