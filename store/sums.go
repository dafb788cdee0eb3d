package store

import (
	"encoding/binary"

	"github.com/bwaklog/meerkat/event"
)

// sums are what is counted over all rows of a pool; they change in the commit that changes the rows.
type sums struct {
	files, dirs, links, bytes int64 // live
	needFiles, needBytes      int64 // but for the ignored
	copies                    int64 // live paths that are named as conflict copies
	live                      event.Sum
	state                     event.Sum
}

func (s *sums) numbers() []*int64 {
	return []*int64{&s.files, &s.dirs, &s.links, &s.bytes, &s.needFiles, &s.needBytes}
}

func (s sums) append(b []byte) []byte {
	for _, n := range s.numbers() {
		b = binary.AppendUvarint(b, zigzag(*n))
	}
	b = appendBytes(appendBytes(b, s.live.Bytes()), s.state.Bytes())
	return binary.AppendUvarint(b, zigzag(s.copies))
}

// readSums reads a row. One that was written before copies were counted ends earlier: whole is false then.
func readSums(row []byte) (s sums, whole bool, err error) {
	r := &reader{b: row}
	for _, n := range s.numbers() {
		*n = unzigzag(r.uvarint())
	}
	live, state := r.bytes(), r.bytes()
	if whole = r.bad || len(r.b) > 0; whole {
		s.copies = unzigzag(r.uvarint())
	}
	if err := r.end("sums"); err != nil {
		return sums{}, false, err
	}
	if s.live, err = event.ParseSum(live); err != nil {
		return sums{}, false, corrupt("sums: " + err.Error())
	}
	if s.state, err = event.ParseSum(state); err != nil {
		return sums{}, false, corrupt("sums: " + err.Error())
	}
	return s, whole, nil
}
