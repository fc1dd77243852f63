package circuit_test

import (
	"io"
	"testing"
	"testing/synctest"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

// FuzzNodes has the nodes of a circuit send whatever cells. Each begins with how
// many have put a layer around it, the type of the innermost, and the length of
// what is in there.
func FuzzNodes(f *testing.F) {
	seed := func(layers, typ byte, content []byte) []byte {
		return append([]byte{layers, typ, byte(len(content))}, content...)
	}
	data := cell.Frame{Type: cell.DataFrame, Stream: 1, Data: []byte("data")}.Append(nil)
	window := cell.Frame{Type: cell.WindowFrame, Stream: 1, Value: 1 << 40}.Append(nil)
	f.Add(append(seed(3, tinker.LayerLocal, data), seed(3, tinker.LayerLocal, window)...))
	f.Add(append(seed(2, tinker.LayerDrop, nil), seed(1, tinker.LayerLocal, data)...))
	f.Add(seed(2, tinker.LayerStep, []byte{0, 3, 1, 2, 3}))
	f.Add(seed(0, 0, nil))
	f.Add(seed(3+4, tinker.LayerRelay, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			p := newPath(t, 3, link.Config{})
			defer p.end()
			c, s := dial(t, p, &site, nil, nil)
			p.serve()
			replies := 3
			if len(b) > 0 {
				replies -= int(b[0] >> 3 % 4) // they may come too late
			}
			for i := range replies {
				p.reply(i)
			}
			synctest.Wait()
			sent := 0
			for len(b) >= 3 {
				layers, typ, size := int(b[0]%4), b[1]&tinker.MaxType, min(int(b[2]), len(b)-3)
				command := cell.Relay
				if b[0]&4 != 0 {
					command = cell.Created
				}
				buf := p.link.Pool().Get()
				payload := buf[cell.HeaderSize:]
				clear(payload)
				copy(payload[layers:], b[3:3+size])
				b = b[3+size:]
				p.wrap(payload, layers, typ, -1)
				if p.leg.Push(command, buf) != nil {
					p.link.Pool().Put(buf)
					break
				}
				sent += cell.PayloadSize
			}
			synctest.Wait()
			c.Close()
			synctest.Wait()
			if got, _ := io.ReadAll(s); len(got) > sent {
				t.Errorf("%d bytes came of %d", len(got), sent)
			}
			s.Close()
			(<-p.streams).Close()
		})
	})
}
