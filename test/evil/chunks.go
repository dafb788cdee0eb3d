package main

import (
	"bufio"
	"encoding/binary"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/swarm"
)

// Kinds of requests of /meerkat/chunks/1.
const (
	askChunks = 2
	askBlocks = 3
	askHave   = 4
)

// serveLies answers every request for chunks: it has everything, and nothing
// of it is what was asked for, except the manifest blocks it made itself.
func (s *self) serveLies() { s.host.SetStreamHandler(swarm.Protocol, s.lie) }

func (s *self) lie(st network.Stream) {
	defer st.Close()
	r := bufio.NewReader(st)
	for buf := []byte(nil); ; {
		_ = st.SetDeadline(time.Now().Add(time.Minute))
		var err error
		if buf, err = frame.Read(r, 64<<10, buf); err != nil || len(buf) == 0 {
			return
		}
		if buf[0] < askChunks {
			continue
		}
		for ids := buf[1:]; len(ids) >= 32; ids = ids[32:] {
			if _, err := st.Write(s.answer(buf[0], chunker.ID(ids[:32]))); err != nil {
				return
			}
		}
	}
}

func (s *self) answer(kind byte, id chunker.ID) []byte {
	s.mu.Lock()
	size, block := s.sizes[id], s.block[id]
	s.mu.Unlock()
	if kind == askBlocks && block != nil {
		return reply(block)
	}
	s.served.Add(1)
	if kind == askHave {
		return reply(binary.AppendUvarint([]byte{1}, 1))
	}
	return reply(make([]byte, max(size, 1)))
}

func reply(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

// endless makes a manifest of about a pebibyte out of one page, which is asked
// for 131,000 times or kept once: its list of chunks would take 38 GB.
func (s *self) endless() (root chunker.ID, size uint64) {
	const pages, perPage, chunk = 131_000, 8192, 1 << 20
	page := []byte{0x4f}
	id := chunker.Sum([]byte("nothing has this hash"))
	for range perPage {
		page = binary.BigEndian.AppendUint32(append(page, id[:]...), chunk)
	}
	size = pages * perPage * chunk
	first := []byte{0x4e, byte(chunker.Large)}
	first = binary.AppendUvarint(first, size)
	first = binary.AppendUvarint(first, pages*perPage)
	pageID := chunker.Sum(page)
	for range pages {
		first = append(first, pageID[:]...)
	}
	root = chunker.Sum(first)
	s.mu.Lock()
	s.block[root], s.block[pageID] = first, page
	s.mu.Unlock()
	return root, size
}
