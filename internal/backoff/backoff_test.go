package backoff

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	differ := false
	var first time.Duration
	for range 20 {
		b := Backoff{Least: time.Second, Most: 10 * time.Second}
		for range 2 {
			for i, want := range []time.Duration{1, 2, 4, 8, 10, 10, 10} {
				want *= time.Second
				got := b.Next()
				if got < want/2 || got > want {
					t.Errorf("after %d failures: %v, want %v to %v", i+1, got, want/2, want)
				}
				if first == 0 {
					first = got
				}
				differ = differ || i == 0 && got != first
			}
			b.Reset()
		}
	}
	if !differ {
		t.Error("all wait for the same time")
	}
}
