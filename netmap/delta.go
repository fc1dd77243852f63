package netmap

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// oldBody is the number under which frames name the body that they build on.
const oldBody = 0x17171717

// ErrDelta means that a compressed body is malformed, or builds on another one
// than was given.
var ErrDelta = errors.New("compressed map is invalid")

// Compress returns the body as a zstd frame (RFC 8878). With an old body, which
// is what the receiver has, that is a dictionary: the frame says little more than
// what has changed. For 10,000 nodes it takes 25 ms and 19 MB of memory; the next
// level saves an eighth of the bytes for four times of both.
func Compress(body, old []byte) ([]byte, error) {
	if len(body) > MaxBody || len(old) > MaxBody {
		return nil, fmt.Errorf("compress map: %w: %d bytes after %d, at most %d are allowed", ErrTooLarge, len(body), len(old), MaxBody)
	}
	options := []zstd.EOption{
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(window(len(body) + len(old))), zstd.WithEncoderCRC(false),
	}
	if len(old) > 0 {
		options = append(options, zstd.WithEncoderDictRaw(oldBody, old))
	}
	encoder, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, fmt.Errorf("compress map: %w", err)
	}
	compressed := encoder.EncodeAll(body, nil)
	return compressed, encoder.Close()
}

// window returns how far back a frame may refer: to the old body's beginning.
func window(size int) int {
	return max(zstd.MinWindowSize, 1<<bits.Len(uint(size)))
}

// Expand returns what Compress was given. It takes no more memory than a body may
// have. Whether it is the body that was signed is for [DecodeMap] to say. The
// error wraps [ErrDelta].
func Expand(compressed, old []byte) ([]byte, error) {
	if len(compressed) > MaxBody || len(old) > MaxBody {
		return nil, fmt.Errorf("%w: it has %d bytes and builds on %d, at most %d are allowed", ErrDelta, len(compressed), len(old), MaxBody)
	}
	options := []zstd.DOption{
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxBody), zstd.WithDecoderMaxWindow(uint64(window(2 * MaxBody))),
	}
	if len(old) > 0 {
		options = append(options, zstd.WithDecoderDictRaw(oldBody, old))
	}
	decoder, err := zstd.NewReader(nil, options...)
	if err != nil {
		return nil, fmt.Errorf("expand map: %w", err)
	}
	defer decoder.Close()
	body, err := decoder.DecodeAll(compressed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDelta, err)
	}
	return body, nil
}
