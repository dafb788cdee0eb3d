package frame_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/bwaklog/meerkat/internal/frame"
)

func TestMessagesComeBackAsSent(t *testing.T) {
	var wire bytes.Buffer
	sizes := []int{0, 1, 127, 128, 64 << 10, 64<<10 + 1, 1 << 20}
	for i, n := range sizes {
		if err := frame.Write(&wire, bytes.Repeat([]byte{byte(i + 1)}, n)); err != nil {
			t.Fatalf("Write of %d bytes: %v", n, err)
		}
	}
	r := bufio.NewReader(iotest.HalfReader(&wire))
	var buf []byte
	for i, n := range sizes {
		got, err := frame.Read(r, 1<<20, buf)
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i + 1)}, n)) {
			t.Fatalf("Read of message %d = %d bytes, %v; want %d bytes", i, len(got), err, n)
		}
		buf = got
	}
	if _, err := frame.Read(r, 1, nil); err != io.EOF {
		t.Errorf("Read at the end = %v, want EOF", err)
	}
}

func TestShortMessageIsOneWrite(t *testing.T) {
	var w counter
	if err := frame.Write(&w, make([]byte, 64<<10)); err != nil || w != 1 {
		t.Errorf("Write took %d writes, %v; want 1", w, err)
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) { *c++; return len(b), nil }

func TestReadUsesTheBuffer(t *testing.T) {
	buf := make([]byte, 100)
	r := bufio.NewReader(bytes.NewReader([]byte("\x05hello")))
	got, err := frame.Read(r, 100, buf)
	if err != nil || &got[0] != &buf[0] {
		t.Errorf("Read = %q, %v in other memory, want the caller's", got, err)
	}
	again := bytes.NewReader(nil)
	if n := testing.AllocsPerRun(100, func() {
		again.Reset([]byte("\x05hello"))
		r.Reset(again)
		if _, err := frame.Read(r, 100, buf); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // the literal
		t.Errorf("Read into a buffer allocates %v times", n)
	}
}

func TestReadRefuses(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<63)
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"one byte above the limit":     {append([]byte{11}, make([]byte, 11)...), frame.ErrTooLarge},
		"a claim of exabytes":          {huge, frame.ErrTooLarge},
		"a length of eleven bytes":     {bytes.Repeat([]byte{0x80}, 11), frame.ErrLength},
		"a length above 64 bits":       {append(bytes.Repeat([]byte{0xff}, 9), 2), frame.ErrLength},
		"a length spelt too long":      {[]byte{0x81, 0x00, 1}, frame.ErrLength},
		"an end inside the length":     {[]byte{0x80}, io.ErrUnexpectedEOF},
		"an end before the message":    {[]byte{3}, io.ErrUnexpectedEOF},
		"an end inside the message":    {[]byte{3, 1, 2}, io.ErrUnexpectedEOF},
		"an end where a frame is over": {nil, io.EOF},
	} {
		_, err := frame.Read(bufio.NewReader(bytes.NewReader(c.wire)), 10, nil)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestClaimCostsLittleMemory(t *testing.T) {
	wire := append(binary.AppendUvarint(nil, 1<<30), make([]byte, 1000)...)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := frame.Read(bufio.NewReader(bytes.NewReader(wire)), 1<<30, nil); err != io.ErrUnexpectedEOF {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if got > 256<<10 {
		t.Errorf("a claim of 1 GiB with 1000 bytes behind it costs %d bytes", got)
	}
}

func TestWriteReturnsTheWritersError(t *testing.T) {
	for _, n := range []int{1, 1 << 20} {
		if err := frame.Write(iotest.TruncateWriter(failing{}, 0), make([]byte, n)); err != nil {
			t.Errorf("a writer that swallows: %v", err)
		}
		if err := frame.Write(failing{}, make([]byte, n)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write of %d bytes = %v, want ErrClosedPipe", n, err)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x05hello\x00\x01x"))
	f.Add([]byte{0x81, 0x00})
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var back bytes.Buffer
		r := bufio.NewReader(bytes.NewReader(wire))
		for {
			msg, err := frame.Read(r, 1<<16, nil)
			if err != nil {
				break
			}
			if err := frame.Write(&back, msg); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(wire, back.Bytes()) {
			t.Errorf("what was read of %x is written as %x", wire, back.Bytes())
		}
	})
}
