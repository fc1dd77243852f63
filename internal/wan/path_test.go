package wan

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	p := newPath(Link{Delay: 20 * time.Millisecond, Rate: 8e6}, 1, 1) // a byte in a microsecond
	now := time.Unix(1000, 0)
	for i := range 101 { // those before it wait for 100 ms
		due, ok := p.admit(now, 1000)
		if want := now.Add(time.Duration(i+1)*time.Millisecond + 20*time.Millisecond); !ok || due != want {
			t.Fatalf("packet %d: due %v, %v, want %v", i, due.Sub(now), ok, want.Sub(now))
		}
	}
	if _, ok := p.admit(now, 1); ok {
		t.Error("a packet may wait longer than the queue's time")
	}
	now = now.Add(time.Second)
	if due, ok := p.admit(now, 1000); !ok || due != now.Add(21*time.Millisecond) {
		t.Errorf("after a pause: due %v, %v; time was saved up", due.Sub(now), ok)
	}
}

func TestLoss(t *testing.T) {
	fates := func(seed uint64) (lost int, all []bool) {
		p := newPath(Link{Loss: 0.1}, seed, 7)
		for range 10_000 {
			_, ok := p.admit(time.Unix(1, 0), 100)
			all = append(all, ok)
			if !ok {
				lost++
			}
		}
		return lost, all
	}
	lost, first := fates(5)
	if lost < 900 || lost > 1100 {
		t.Errorf("%d of 10,000 were lost, want some 1,000", lost)
	}
	_, again := fates(5)
	_, other := fates(6)
	same := true
	for i := range first {
		if first[i] != again[i] {
			t.Fatalf("with the same seed, packet %d had another fate", i)
		}
		same = same && first[i] == other[i]
	}
	if same {
		t.Error("another seed changed nothing")
	}
}

func TestSet(t *testing.T) {
	p := newPath(Link{Delay: time.Second}, 1, 1)
	now := time.Unix(1000, 0)
	first, _ := p.admit(now, 1)
	p.set(Link{Delay: time.Millisecond})
	if second, _ := p.admit(now, 1); second.Before(first) {
		t.Error("a packet overtakes the one before it")
	}
	p.sever(true)
	if _, ok := p.admit(now, 1); ok {
		t.Error("a packet passes over a link that is cut")
	}
	p.sever(false)
	if due, ok := p.admit(now.Add(time.Hour), 1); !ok || due != now.Add(time.Hour+time.Millisecond) {
		t.Error("a link that is restored is not what it was")
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Rate{"100mbit": 100e6, "1gbit": 1e9, "1.5kbit": 1500, "7bit": 7, "": -1, "100": -1, "bit": -1, "-1mbit": -1, "NaNbit": -1, "2000gbit": -1, "0bit": -1} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); (err != nil) != (want < 0) || err == nil && r != want {
			t.Errorf("rate %q: %v, %v", text, r, err)
		}
	}
	for text, want := range map[string]Share{"0.1%": 0.001, "0%": 0, "100%": 1, "": -1, "%": -1, "1": -1, "101%": -1, "-1%": -1, "NaN%": -1} {
		var s Share
		if err := s.UnmarshalText([]byte(text)); (err != nil) != (want < 0) || err == nil && s != want {
			t.Errorf("share %q: %v, %v", text, s, err)
		}
	}
}
