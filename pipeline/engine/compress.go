package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// expandedMax bounds what a body may expand to, against a broken one.
const expandedMax = 256 << 20

// dictionaryMax bounds the part of a definition's text that is a dictionary: its last part, since
// what is nearer is cheaper to refer to.
const dictionaryMax = 32 << 10

// coder compresses what belongs to one definition: the definition's text, with its node names and
// its schemas' field names, is the dictionary. It is safe for concurrent use.
type coder struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCoder(definition []byte) (*coder, error) {
	dictionary := definition[max(0, len(definition)-dictionaryMax):]
	encoderOptions := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1 << 20), zstd.WithEncoderCRC(true)}
	decoderOptions := []zstd.DOption{zstd.WithDecoderMaxMemory(expandedMax), zstd.WithDecoderConcurrency(0)}
	if len(dictionary) >= dictionaryMin {
		encoderOptions = append(encoderOptions, zstd.WithEncoderDictRaw(dictionaryID, dictionary))
		decoderOptions = append(decoderOptions, zstd.WithDecoderDictRaw(dictionaryID, dictionary))
	}
	encoder, err := zstd.NewWriter(nil, encoderOptions...)
	if err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	decoder, err := zstd.NewReader(nil, decoderOptions...)
	if err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	return &coder{encoder: encoder, decoder: decoder}, nil
}

// dictionaryMin is the least that zstd takes as a dictionary; dictionaryID is the number that frames
// carry: a body's row names its definition, so that one number serves all.
const (
	dictionaryMin = 8
	dictionaryID  = 0x64_61_79
)

func (c *coder) compress(text []byte) []byte { return c.encoder.EncodeAll(text, nil) }

func (c *coder) expand(frame []byte) ([]byte, error) {
	text, err := c.decoder.DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("expand %d bytes: %w", len(frame), err)
	}
	return text, nil
}

// state is what a live row keeps of an instance beside its columns.
type state struct {
	params  []byte
	context []byte
}

// pack returns the bytes of a state, compressed.
func (c *coder) pack(s state) []byte {
	text := binary.AppendUvarint(make([]byte, 0, len(s.params)+len(s.context)+4), uint64(len(s.params)))
	text = append(text, s.params...)
	return c.compress(append(text, s.context...))
}

// unpack is the reverse of pack.
func (c *coder) unpack(frame []byte) (state, error) {
	text, err := c.expand(frame)
	if err != nil {
		return state{}, err
	}
	r := reader{rest: text}
	s := state{params: r.bytes()}
	s.context = r.rest
	return s, r.err
}
