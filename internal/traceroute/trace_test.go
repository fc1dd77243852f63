package traceroute

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"safing/internal/geo"
)

func router(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i), 1}) }

// walk plays a network in which hop i answers if answers[i], and the last one
// is the destination. It returns the path, how many probes were sent, and how
// long it took.
func walk(c Config, answers []bool) (Path, int, time.Duration) {
	t := newTrace(c)
	start := time.Unix(0, 0)
	now, sent := start, 0
	for {
		for {
			i, attempt, ok := t.next(now)
			if !ok {
				break
			}
			sent++
			switch last := len(answers) - 1; {
			case i >= last && answers[last]:
				t.take(i, attempt, answer{from: router(last), outcome: Reached, at: now.Add(5 * time.Millisecond)})
			case i < last && answers[i]:
				t.take(i, attempt, answer{from: router(i), at: now.Add(5 * time.Millisecond)})
			}
		}
		end, ok := t.wake(now)
		if !ok {
			return t.path(), sent, now.Sub(start)
		}
		now = end
	}
}

func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Hops: rapid.IntRange(0, 40).Draw(t, "hops"), Attempts: rapid.IntRange(0, 5).Draw(t, "attempts"),
			Parallel: rapid.IntRange(0, 20).Draw(t, "parallel"), Gap: rapid.IntRange(0, 40).Draw(t, "gap"),
		}
		answers := rapid.SliceOfN(rapid.Bool(), 1, 35).Draw(t, "answers")
		path, sent, took := walk(c, answers)
		c = c.withDefaults()
		if sent > c.Hops*c.Attempts {
			t.Fatalf("%d probes", sent)
		}
		if groups := (c.Hops + c.Parallel - 1) / c.Parallel; took > time.Duration(groups*c.Attempts)*c.Wait {
			t.Fatalf("took %s", took)
		}
		if len(path.Hops) > min(c.Hops, len(answers)) {
			t.Fatalf("%d hops of %d", len(path.Hops), len(answers))
		}
		for i, h := range path.Hops {
			if answered := h.Addr.IsValid(); answered != answers[i] || answered && (h.Addr != router(i) || h.RTT != 5*time.Millisecond) {
				t.Fatalf("hop %d is %+v", i, h)
			}
		}
		if n := len(path.Hops); n > 0 && !path.Hops[n-1].Addr.IsValid() {
			t.Fatalf("the last hop has no address")
		}
		if !slices.Contains(answers, false) && len(answers) <= c.Hops && (path.Outcome != Reached || len(path.Hops) != len(answers) || took != 0) {
			t.Fatalf("all answer, but: %+v after %s", path, took)
		}
	})
}

func TestSilence(t *testing.T) {
	path, sent, took := walk(Config{}, make([]bool, 30))
	if len(path.Hops) != 0 || path.Outcome != Silent || sent != 16 || took != 2*time.Second {
		t.Errorf("%+v after %d probes and %s", path, sent, took)
	}
}

func TestAnswersNobodyAskedFor(t *testing.T) {
	tr := newTrace(Config{})
	tr.next(time.Unix(0, 0))
	for _, probe := range [][2]int{{0, 1}, {1, 0}, {-1, 0}, {0, -1}, {30, 0}, {0, 3}} {
		tr.take(probe[0], probe[1], answer{from: router(9), outcome: Reached})
	}
	if p := tr.path(); len(p.Hops) != 0 || p.Outcome != Silent {
		t.Errorf("they were taken: %+v", p)
	}
}

func TestCrossed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geo")
	if err := os.WriteFile(path, []byte("10.0.1.0,10.0.2.255,DE\n10.0.3.0,10.0.3.255,NL\n10.0.5.0,10.0.5.255,DE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	networks := path + ".asn"
	if err := os.WriteFile(networks, []byte("10.0.2.0,10.0.2.255,64500\n10.0.3.0,10.0.5.255,64501\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := geo.Open(path, networks)
	if err != nil {
		t.Fatal(err)
	}
	hops := []Hop{{Addr: router(0)}, {}, {Addr: router(1)}, {Addr: router(2)}, {Addr: router(3)}, {Addr: router(4)}, {Addr: router(5)}}
	asns, countries := Crossed(hops, db)
	if !slices.Equal(asns, []uint32{64500, 64501}) || !slices.Equal(countries, []string{"DE", "NL"}) {
		t.Errorf("crosses %v and %v", asns, countries)
	}
	if asns, countries := Crossed(hops, nil); asns != nil || countries != nil {
		t.Errorf("without a database it crosses %v and %v", asns, countries)
	}
}
