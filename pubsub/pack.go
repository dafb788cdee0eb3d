package pubsub

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

const maxUnpacked = MaxFrame

// packer compresses batches, and undoes it within a limit. It may be used by many goroutines; it starts none.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() (*packer, error) {
	// Single segment: else the size is left out where the contents are short.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(maxUnpacked), zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderMaxWindow(maxUnpacked))
	if err != nil {
		return nil, err
	}
	return &packer{enc, dec}, nil
}

// pack gives what to send and the size to state with it: 0 where b itself is sent, because it does not shrink.
func (p *packer) pack(b []byte) (packed []byte, size uint32) {
	if c := p.enc.EncodeAll(b, nil); len(c) < len(b) {
		return c, uint32(len(b))
	}
	return b, 0
}

// unpack undoes pack. It allocates for no more than is stated, and states above the limit are refused.
func (p *packer) unpack(packed []byte, size uint32) ([]byte, error) {
	if size == 0 {
		return packed, nil
	}
	if size > maxUnpacked {
		return nil, fmt.Errorf("%w: batch of %d bytes, at most %d", ErrProtocol, size, maxUnpacked)
	}
	var h zstd.Header
	if err := h.Decode(packed); err != nil || !h.HasFCS || h.FrameContentSize != uint64(size) {
		return nil, fmt.Errorf("%w: batch does not say its size of %d bytes", ErrProtocol, size)
	}
	b, err := p.dec.DecodeAll(packed, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: unpack batch: %w", ErrProtocol, err)
	}
	if len(b) != int(size) {
		return nil, fmt.Errorf("%w: batch of %d bytes, not the stated %d", ErrProtocol, len(b), size)
	}
	return b, nil
}
