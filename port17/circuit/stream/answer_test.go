package stream_test

import (
	"net/netip"
	"testing"
	"time"

	"safing/port17/circuit/stream"
)

func TestConnected(t *testing.T) {
	p := connect()
	defer p.end(t)
	s, peer := p.open(t, nil)
	select {
	case <-s.Opened():
		t.Error("the stream is open before the exit has connected it")
	default:
	}
	peer.Connected(netip.Addr{})
	<-s.Opened()
	if s.Err() != nil || peer.Err() != nil {
		t.Errorf("the origin's end: %v, the exit's: %v", s.Err(), peer.Err())
	}
}

type answered struct {
	network string
	at      time.Time
}

// answers returns what the stream says of its first bytes.
func answers(s *stream.Stream) <-chan answered {
	c := make(chan answered, 2)
	s.OnAnswer(func(n netip.Prefix, at time.Time) { c <- answered{n.String(), at} })
	return c
}

// The first bytes are told once, with what the exit has said first of where it
// connected, whether somebody waits for them or asks later.
func TestAnswer(t *testing.T) {
	for _, late := range []bool{false, true} {
		p := connect()
		s, peer := p.open(t, nil)
		begun := time.Now()
		var got <-chan answered
		if !late {
			got = answers(s)
		}
		peer.Connected(netip.MustParseAddr("192.0.2.7"))
		<-s.Opened()
		select {
		case a := <-got:
			t.Errorf("%v before there are bytes", a)
		default:
		}
		peer.Connected(netip.MustParseAddr("198.51.100.1"))
		for range 2 {
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if late {
			got = answers(s)
		}
		if a := <-got; a.network != "192.0.2.0/24" || a.at.Before(begun) || time.Since(a.at) < 0 {
			t.Errorf("late %v: got %v", late, a)
		}
		if len(got) > 0 {
			t.Errorf("late %v: told twice", late)
		}
		p.end(t)
	}
}

// An exit need not say where it has connected, and may say that it has behind the
// first bytes, as these leave when there is room and that then.
func TestAnswerFromNowhere(t *testing.T) {
	p := connect()
	defer p.end(t)
	s, peer := p.open(t, nil)
	got := answers(s)
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if len(got) > 0 {
		t.Errorf("%v before the exit has connected", <-got)
	}
	peer.Connected(netip.Addr{})
	if a := <-got; a.network != (netip.Prefix{}).String() {
		t.Errorf("got %v", a)
	}
}
