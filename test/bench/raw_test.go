package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/bwaklog/meerkat/test/lab"
)

// rawRole makes the test binary one end of a bare libp2p stream: TCP, TLS and
// yamux as libp2p sets them up, bytes from memory to nowhere. It is what a link
// can carry when nothing is read, checked or written.
const rawRole = "MEERKAT_BENCH_RAW"

const rawProtocol = "/meerkat-bench/raw/1"

func rawHost(listen string, more ...libp2p.Option) (host.Host, error) {
	return libp2p.New(append(more, libp2p.ListenAddrStrings(listen), libp2p.DisableMetrics(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New))...)
}

func rawMain(role string, args []string) int {
	play := map[string]func([]string) error{
		"serve": rawServe, "fetch": rawFetch, "serve behind a relay": rawServeBehind, "fetch through a relay": rawFetchThrough,
	}[role]
	if err := play(args); err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		return 1
	}
	return 0
}

// rawServe listens on args[0], says where, gives args[1] bytes to the first who
// asks, and ends when that stream does.
func rawServe(args []string) error {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	h, err := rawHost(args[0])
	if err != nil {
		return err
	}
	defer h.Close()
	return rawAnswer(h, args[0], size)
}

// rawAnswer says where h listens and gives size bytes to the first who asks.
func rawAnswer(h host.Host, where string, size int64) error {
	done := make(chan error, 1)
	h.SetStreamHandler(rawProtocol, func(s network.Stream) { done <- rawGive(s, size) })
	fmt.Printf("%s/p2p/%s\n", where, h.ID())
	return <-done
}

func rawGive(s network.Stream, size int64) error {
	b := lab.Noise(1, 256<<10)
	for left := size; left > 0; left -= int64(len(b)) {
		if _, err := s.Write(b[:min(left, int64(len(b)))]); err != nil {
			return err
		}
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, s) // until the reader has all and closes
	return err
}

// rawFetch reads from args[0].
func rawFetch(args []string) error {
	h, err := rawHost("/ip4/0.0.0.0/tcp/0")
	if err != nil {
		return err
	}
	defer h.Close()
	return rawTake(h, args[0])
}

// rawTake reads to the end from where and says how many seconds that took.
func rawTake(h host.Host, where string) error {
	at, err := peer.AddrInfoFromString(where)
	if err != nil {
		return err
	}
	if err := h.Connect(context.Background(), *at); err != nil {
		return err
	}
	start := time.Now()
	s, err := h.NewStream(context.Background(), at.ID, rawProtocol)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, s, make([]byte, 256<<10)); err != nil {
		return err
	}
	fmt.Println(time.Since(start).Seconds())
	return s.Close()
}

// onlyWriter hides the buffer that io.Discard would bring.
type onlyWriter struct{ io.Writer }

// rawStream carries size bytes from a to b over one bare libp2p stream.
func rawStream(t *testing.T, a, b *lab.Host, size int64) (took, spent time.Duration) {
	t.Helper()
	n := strconv.FormatInt(size, 10)
	return rawPair(t, a, b, []string{"serve", "/ip4/" + a.IP + "/tcp/7800", n}, []string{"fetch"})
}

// rawPair has a play a role, and b another one with what a says as its first
// argument.
func rawPair(t *testing.T, a, b *lab.Host, serve, fetch []string) (took, spent time.Duration) {
	t.Helper()
	server := a.Command(os.Args[0], serve[1:]...)
	server.Env = append(server.Env, rawRole+"="+serve[0])
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := b.Command(os.Args[0], append([]string{strings.TrimSpace(addr)}, fetch[1:]...)...)
	client.Env = append(client.Env, rawRole+"="+fetch[0])
	client.Stderr = os.Stderr
	said, err := client.Output()
	if err != nil {
		t.Fatalf("raw stream: %v", err)
	}
	_ = server.Wait() // how its stream ended does not matter
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(said)), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second)), cpuOf(client) + cpuOf(server)
}
