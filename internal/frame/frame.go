// Package frame puts messages on a byte stream, each with its length as a uvarint in front, and takes them off again.
//
// It sets no deadline, starts nothing and interprets nothing: the caller owns the stream, its deadline and the limit.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

var (
	// ErrTooLarge says that a message is announced that is longer than the caller's limit. Nothing was allocated for it,
	// and the stream stands behind the length: it is of no further use.
	ErrTooLarge = errors.New("message too large")
	// ErrLength says that a length is not the shortest spelling of a number of 64 bits.
	ErrLength = errors.New("malformed message length")
)

const (
	together = 64 << 10 // up to here length and message leave in one write
	step     = 64 << 10 // memory that a bare claim of length can cost
)

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Write sends msg as one frame, up to 64 KiB in a single write. It blocks as w does and keeps nothing of msg. The error is
// w's own.
func Write(w io.Writer, msg []byte) error {
	if len(msg) > together {
		return writeLong(w, msg)
	}
	p := scratch.Get().(*[]byte)
	defer scratch.Put(p)
	*p = append(binary.AppendUvarint((*p)[:0], uint64(len(msg))), msg...)
	_, err := w.Write(*p)
	return err
}

func writeLong(w io.Writer, msg []byte) error {
	var head [binary.MaxVarintLen64]byte
	if _, err := w.Write(binary.AppendUvarint(head[:0], uint64(len(msg)))); err != nil {
		return err
	}
	_, err := w.Write(msg)
	return err
}

// Read takes one frame of at most max bytes off r. The message lies in buf's memory where it fits, else in a bigger slice;
// either way the caller owns it and may pass it as the next buf. A stream that ends between frames gives io.EOF, one that ends
// inside a frame io.ErrUnexpectedEOF. A length above max gives [ErrTooLarge] before anything is allocated, and
// memory grows only with bytes that came.
func Read(r *bufio.Reader, max int, buf []byte) ([]byte, error) {
	n, err := length(r)
	if err != nil {
		return nil, err
	}
	if max < 0 || n > uint64(max) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, max)
	}
	return body(r, int(n), buf[:0])
}

func length(r io.ByteReader) (uint64, error) {
	var raw [binary.MaxVarintLen64]byte
	for i := range raw {
		b, err := r.ReadByte()
		if err == io.EOF && i > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		raw[i] = b
		if b < 0x80 {
			return shortest(raw[:i+1])
		}
	}
	return 0, ErrLength
}

func shortest(raw []byte) (uint64, error) {
	v, n := binary.Uvarint(raw)
	if n != len(raw) || n > 1 && raw[n-1] == 0 {
		return 0, ErrLength
	}
	return v, nil
}

func body(r io.Reader, n int, msg []byte) ([]byte, error) {
	for len(msg) < n {
		// What is there may be filled; beyond that, memory at most doubles what has come.
		grow := min(n-len(msg), max(cap(msg)-len(msg), len(msg), step))
		msg = slices.Grow(msg, grow)
		part := msg[len(msg) : len(msg)+grow]
		got, err := io.ReadFull(r, part)
		msg = msg[:len(msg)+got]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return msg, nil
}
