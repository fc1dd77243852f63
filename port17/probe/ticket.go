package probe

import (
	"bytes"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
)

const (
	tokenSize  = 16
	pageSize   = 32 << 10 // bytes of chance in a page
	mostTold   = 8        // addresses that a ticket remembers
	mostHeader = 1 << 10
)

// A ticket is one request that the server answers: what is asked and what is
// answered are known to the last byte before.
type ticket struct {
	token   string
	request []byte
	head    []byte // of the answer
	seed    [32]byte
	page    []byte // the body, or
	size    int64  // how many bytes of the seed's stream it has

	mu      sync.Mutex
	sources []netip.Addr // that it was asked from
	changed bool         // it was asked with other words
}

// newTicket makes one for the host, as the request names it. A size of 0 is a
// page as web servers have them, which is what an exit that changes pages looks
// for.
func newTicket(host string, size int64) *ticket {
	t := &ticket{size: size}
	crand.Read(t.seed[:])
	token := make([]byte, tokenSize)
	crand.Read(token)
	t.token = hex.EncodeToString(token)
	kind := "application/octet-stream"
	if size == 0 {
		kind = "text/html; charset=utf-8"
		random := make([]byte, pageSize)
		rand.NewChaCha8(t.seed).Read(random) //nolint:errcheck // it never fails
		t.page = fmt.Appendf(nil, "<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><p>%x</p></body></html>\n", t.token[:8], random)
		size = int64(len(t.page))
	}
	t.request = fmt.Appendf(nil, "GET /%s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\nConnection: close\r\n\r\n", t.token, host)
	t.head = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n", kind, size)
	return t
}

// answer returns all that the server says.
func (t *ticket) answer() io.Reader {
	if t.page != nil {
		return io.MultiReader(bytes.NewReader(t.head), bytes.NewReader(t.page))
	}
	return io.MultiReader(bytes.NewReader(t.head), io.LimitReader(rand.NewChaCha8(t.seed), t.size))
}

// asked remembers who has asked, and whether with the right words.
func (t *ticket) asked(from netip.Addr, request []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sources) < mostTold && !slices.Contains(t.sources, from) {
		t.sources = append(t.sources, from)
	}
	t.changed = t.changed || !bytes.Equal(request, t.request)
}

// told returns from where it was asked, and whether with the right words.
func (t *ticket) told() (sources []netip.Addr, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.sources), t.changed
}

// errAltered means that what has passed an exit was changed on its way.
var errAltered = errors.New("what the exit hands on is not what was sent")

// compare reads the answer until its end, and calls seen with how many bytes have
// come, until that says that it is enough.
func (t *ticket) compare(r io.Reader, seen func(int) bool) error {
	want := t.answer()
	got, expected := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := r.Read(got)
		if m, _ := io.ReadFull(want, expected[:n]); !bytes.Equal(got[:n], expected[:m]) {
			return errAltered
		}
		if n > 0 && seen != nil && !seen(n) {
			return nil
		}
		if err == io.EOF {
			if m, _ := io.ReadFull(want, expected[:1]); m > 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
