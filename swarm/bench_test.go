package swarm_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/swarm"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/sys/unix"
)

// BenchmarkTransfer compares fetching a big file, read back on the one side, verified and copied on the other,
// with pushing as many bytes through one bare stream of the same hosts.
func BenchmarkTransfer(b *testing.B) {
	const size = 512 << 20 // a file of class Medium, as one of 1 GiB is
	src, dst := newNode(b, swarm.Config{}), newNode(b, swarm.Config{})
	f := newFile(b, 1, size)
	src.shelf.add(f)
	connect(b, dst, src)
	src.host.SetStreamHandler("/bare/1", func(s network.Stream) { pour(s, size) })
	b.Run("bare stream", func(b *testing.B) {
		b.SetBytes(size)
		defer report(b, cpu(b), size)
		for b.Loop() {
			drink(b, dst, src)
		}
	})
	b.Run("fetch", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		file := make([]byte, size)
		put := func(w swarm.Want, c []byte) error {
			copy(file[w.Index*(size/len(f.chunks)):], c) // as much work as a write
			return nil
		}
		defer report(b, cpu(b), size)
		for b.Loop() {
			if err := dst.Fetch(b.Context(), swarm.Request{Pool: pool, Peers: peersOf(src), Wants: f.wants(), Put: put}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// cpu is the processor time of this process: unlike the wall's, it hardly depends on what else the machine does.
func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, before time.Duration, size int) {
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N)/float64(size)*1e9, "cpu-s/GB")
}

func pour(s network.Stream, size int) {
	buf := make([]byte, 256<<10)
	for range size / len(buf) {
		if _, err := s.Write(buf); err != nil {
			return // the reader sees it
		}
	}
	_ = s.Close() // the reader counts
}

func drink(b *testing.B, dst, src *node) {
	s, err := dst.host.NewStream(b.Context(), src.host.ID(), "/bare/1")
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, 256<<10))
	if err != nil || n == 0 {
		b.Fatal(n, err)
	}
	_ = s.Close() // read to its end
}

func BenchmarkSmall(b *testing.B) {
	src, dst := newNode(b, swarm.Config{}), newNode(b, swarm.Config{})
	var wants []swarm.Want
	for i := range 10_000 {
		c := noise(uint64(i), 1000+i%15000)
		wants = append(wants, swarm.Want{ID: src.shelf.put(c), Size: uint32(len(c))})
	}
	connect(b, dst, src)
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				put := func(swarm.Want, []byte) error { return nil }
				if err := dst.Fetch(b.Context(), swarm.Request{Pool: pool, Peers: peersOf(src), Wants: wants[:n], Put: put}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
