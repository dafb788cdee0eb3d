package node

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// pcpServer answers each request by what answer makes of it; nothing where that is nil.
func pcpServer(t *testing.T, answer func(request []byte) []byte) pcpGate {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, b := range bytes.Split(answer(buf[:n]), []byte("|")) {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	return pcpGate{conn.LocalAddr().(*net.UDPAddr).AddrPort(), [12]byte{1, 2, 3}}
}

// granting is what a gateway at 11.0.0.7 says that opens the port above the one wished for.
func granting(request []byte) []byte {
	b := bytes.Clone(request)
	b[1] |= pcpResponse
	b[3] = 0
	if len(b) >= pcpHeader+pcpMapSize {
		m := b[pcpHeader:]
		binary.BigEndian.PutUint16(m[18:], binary.BigEndian.Uint16(m[18:])+1)
		ip := netip.MustParseAddr("11.0.0.7").As16()
		copy(m[20:], ip[:])
	}
	return b
}

func TestPCPOpensAPort(t *testing.T) {
	g := pcpServer(t, granting)
	if err := g.Hello(time.Second); err != nil {
		t.Fatalf("Hello = %v", err)
	}
	at, life, err := g.Open(openedPort{"udp", 7716}, leaseTime, time.Second)
	if want := netip.MustParseAddrPort("11.0.0.7:7717"); err != nil || at != want || life != leaseTime {
		t.Errorf("Open = %v for %v, %v, want %v for %v", at, life, err, want, leaseTime)
	}
	if _, life, err := g.Open(openedPort{"tcp", 7716}, 0, time.Second); err != nil || life != 0 {
		t.Errorf("taken back: %v, %v", life, err)
	}
}

// TestPCPRequest compares a request with one written out by hand after the figures of RFC 6887, sections 7.1 and 11.1.
func TestPCPRequest(t *testing.T) {
	g := pcpGate{nonce: [12]byte{0xa, 0xb}}
	got := g.mapping(pcpRequest(pcpMap, netip.MustParseAddr("192.168.1.2"), 2*time.Minute), openedPort{"tcp", 0x1e24}, 2*time.Minute)
	want := []byte{
		2, 1, 0, 0, 0, 0, 0, 120, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2,
		0xa, 0xb, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0x1e, 0x24, 0x1e, 0x24,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestPCPThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		answer func([]byte) []byte
		want   string
	}{
		"refused":    {func(b []byte) []byte { b = granting(b); b[3] = 2; return b }, "not authorized"},
		"unheard of": {func(b []byte) []byte { b = granting(b); b[3] = 99; return b }, "result 99"},
		"NAT-PMP":    {func(b []byte) []byte { return []byte{0, b[1] | pcpResponse, 0, 1, 0, 0, 0, 9} }, "another version"},
		"mute":       {func([]byte) []byte { return nil }, "does not answer"},
		"an echo":    {bytes.Clone, "does not answer"},
		"short":      {func(b []byte) []byte { return granting(b)[:40] }, "does not answer"},
		"another's":  {func(b []byte) []byte { b = granting(b); b[pcpHeader] ^= 1; return b }, "does not answer"},
	} {
		g := pcpServer(t, c.answer)
		if at, _, err := g.Open(openedPort{"tcp", 7716}, leaseTime, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want an error with %q", name, at, err, c.want)
		}
	}
}

// TestPCPPassesOverWhatIsNoAnswer: what comes first and belongs to nothing does not hide the answer.
func TestPCPPassesOverWhatIsNoAnswer(t *testing.T) {
	g := pcpServer(t, func(b []byte) []byte { return append([]byte("x|garbage|"), granting(b)...) })
	if at, _, err := g.Open(openedPort{"tcp", 7716}, leaseTime, time.Second); err != nil || at.Port() != 7717 {
		t.Errorf("Open = %v, %v", at, err)
	}
}

func TestNobodyListensForPCP(t *testing.T) {
	start := time.Now()
	if err := (pcpGate{at: netip.MustParseAddrPort("127.0.0.1:1")}).Hello(time.Minute); err == nil || time.Since(start) > 30*time.Second {
		t.Errorf("Hello = %v after %v, want an error at once", err, time.Since(start))
	}
}

// TestGatewayThatSpeaksNoNATPMP: one that does not answer, or refuses at once, is none.
func TestGatewayThatSpeaksNoNATPMP(t *testing.T) {
	if err := (pmpGate{net.IPv4(127, 0, 0, 1)}).Hello(100 * time.Millisecond); err == nil {
		t.Error("Hello where nobody listens gives no error")
	}
}

// TestPCPNonceOutlivesTheRun: a gateway refuses to change a mapping to who shows another nonce, as after a crash.
func TestPCPNonceOutlivesTheRun(t *testing.T) {
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := pcpNonce(key), pcpNonce(key); a != b {
		t.Errorf("%x and %x of one key", a, b)
	}
	if a, b := pcpNonce(nil), pcpNonce(nil); a == b {
		t.Errorf("%x twice without a key", a)
	}
}

func FuzzPCPAnswer(f *testing.F) {
	g, port := pcpGate{nonce: [12]byte{1}}, openedPort{"tcp", 7716}
	f.Add(granting(g.mapping(pcpRequest(pcpMap, netip.MustParseAddr("10.0.0.2"), leaseTime), port, leaseTime)))
	f.Add([]byte{0, 0x81, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, life, err := g.mapped(b, port); err == nil && (!at.Addr().IsValid() || life < 0) {
			t.Errorf("mapped to %v for %v", at, life)
		}
	})
}
