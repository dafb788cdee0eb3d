package folder

import (
	"errors"
	"io"
	"sync"
)

// pieces are the buffers of plain copying and re-hashing.
var pieces = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// eachData calls do for each range of data in the first size bytes of f, in order.
func eachData(f File, size int64, do func(start, end int64) error) error {
	for off := int64(0); off < size; {
		start, end, err := f.NextData(off)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, ErrUnsupported) {
			start, end, err = off, size, nil
		}
		if err != nil {
			return err
		}
		if start >= size {
			return nil
		}
		end = min(end, size)
		if err := do(start, end); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// copyData copies by reading and writing, holes kept.
func copyData(dst, src File, size int64) error {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	err := eachData(src, size, func(start, end int64) error {
		for start < end {
			b := (*buf)[:min(int64(len(*buf)), end-start)]
			if _, err := src.ReadAt(b, start); err != nil {
				return err
			}
			if _, err := dst.WriteAt(b, start); err != nil {
				return err
			}
			start += int64(len(b))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return dst.Truncate(size)
}
