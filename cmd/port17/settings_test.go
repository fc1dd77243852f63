package main

import "testing"

func TestAmount(t *testing.T) {
	for text, want := range map[string]amount{
		"0": 0, "500": 500, "1kB": 1000, "10MB": 10_000_000, "1.5GB": 1_500_000_000, "2 TB": 2_000_000_000_000,
	} {
		var got amount
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1KB", "1 MiB", "NaN", "Inf", "1e9TB", "10Mbit"} {
		var got amount
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}
