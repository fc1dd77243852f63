package api

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadEvents(t *testing.T) {
	for _, test := range []struct{ name, stream, event, data string }{
		{"named", "event: delta\ndata: {}\n\n", "delta", "{}"},
		{"no space", "event:delta\ndata:{}\n\n", "delta", "{}"},
		{"several lines", "data: a\ndata: b\n\n", "", "a\nb"},
		{"comments and beats before", ":\n\n:beat\nevent: x\n\ndata: 1\n\n", "", "1"},
		{"other fields", "id: 7\nretry: 9\nevent: e\ndata: 1\n\n", "e", "1"},
		{"windows", "event: e\r\ndata: 1\r\n\r\n", "e", "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newEventReader(strings.NewReader(test.stream))
			event, data, err := r.next()
			if err != nil || event != test.event || string(data) != test.data {
				t.Errorf("got %q %q %v", event, data, err)
			}
			if _, _, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("after the last event: %v", err)
			}
		})
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("event: delta\ndata: {}\n\n")
	f.Add(":\n\ndata\ndata:\n\n\r\n")
	f.Fuzz(func(t *testing.T, stream string) {
		r := newEventReader(strings.NewReader(stream))
		for range len(stream) + 1 {
			if _, _, err := r.next(); err != nil {
				return
			}
		}
		t.Error("more events than bytes")
	})
}
