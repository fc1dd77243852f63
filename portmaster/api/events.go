package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
)

// eventLimit bounds one event of a stream: a full table of 10,000 entries
// with long command lines.
const eventLimit = 64 << 20

// An eventReader reads server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type eventReader struct {
	lines *bufio.Scanner
}

func newEventReader(r io.Reader) *eventReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), eventLimit)
	return &eventReader{lines}
}

// next returns the next event that has data.
func (e *eventReader) next() (name string, data []byte, err error) {
	for e.lines.Scan() {
		line := e.lines.Bytes()
		if len(line) == 0 {
			if data != nil {
				return name, data, nil
			}
			name = ""
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(slices.Grow(data, len(value)+1), value...)
			if len(data) > eventLimit {
				return "", nil, fmt.Errorf("an event is longer than %d bytes", eventLimit)
			}
		}
	}
	if err := e.lines.Err(); err != nil {
		return "", nil, err
	}
	return "", nil, io.ErrUnexpectedEOF
}
