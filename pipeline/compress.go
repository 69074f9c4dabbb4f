package pipeline

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// expandedMax bounds what a stored record may expand to, against a hostile or broken one.
const expandedMax = 256 << 20

// One encoder and one decoder serve all goroutines: EncodeAll and DecodeAll keep no state.
var (
	encoder = mustZstd(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault)))
	decoder = mustZstd(zstd.NewReader(nil, zstd.WithDecoderMaxMemory(expandedMax), zstd.WithDecoderConcurrency(0)))
)

func mustZstd[T any](coder T, err error) T {
	if err != nil {
		panic(err)
	}
	return coder
}

// Compress returns the zstd frame of text. The same text gives the same bytes in one build.
func Compress(text []byte) []byte { return encoder.EncodeAll(text, nil) }

// Decompress returns what Compress was given; a frame that expands beyond 256 MiB is an error.
func Decompress(frame []byte) ([]byte, error) {
	text, err := decoder.DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("expand %d bytes: %w", len(frame), err)
	}
	return text, nil
}
