package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// Nobody is asked while all are there; who is missed is asked for at once, and
// then less and less often.
func TestQueriesBackOff(t *testing.T) {
	l := &lan{searches: map[string]*search{}}
	start := time.Unix(1_800_000_000, 0)
	asked := func(from, to time.Duration, sought map[string]string) (at []time.Duration) {
		for d := from; d < to; d += mdnsPoll {
			for range l.due(sought, start.Add(d)) {
				at = append(at, d)
			}
		}
		return at
	}
	if at := asked(0, time.Hour, nil); len(at) > 0 {
		t.Errorf("asked at %v while nobody is missed", at)
	}
	at := asked(time.Hour, 2*time.Hour, map[string]string{"pool": "b"})
	if len(at) < 6 || at[0] != time.Hour || at[1] > time.Hour+2*queryFirst || len(at) > 20 {
		t.Errorf("asked at %v in the hour after b was lost", at)
	}
	gaps := make([]time.Duration, 0, len(at))
	for i := range at[1:] {
		gaps = append(gaps, at[i+1]-at[i])
	}
	if !slices.IsSorted(gaps) || gaps[len(gaps)-1] > queryMost+mdnsPoll {
		t.Errorf("the pauses are %v, want them to grow up to %v", gaps, queryMost)
	}
	if at := asked(2*time.Hour, 2*time.Hour+mdnsPoll, map[string]string{"pool": "bc"}); len(at) != 1 {
		t.Error("not asked at once when another member was lost as well")
	}
	asked(2*time.Hour+time.Minute, 2*time.Hour+2*time.Minute, nil)
	if at := asked(3*time.Hour, 3*time.Hour+mdnsPoll, map[string]string{"pool": "bc"}); len(at) != 1 {
		t.Error("not asked at once when members were lost again")
	}
}

// down is an answerer that notes when it is shut down.
type down struct{ n *int }

func (d down) Shutdown() { *d.n++ }

// The host learns of a new address a moment after the machine has it: what was
// told in that moment is not told for ever.
func TestAnswersFollowTheAddresses(t *testing.T) {
	var told [][]ma.Multiaddr
	ended := 0
	l := &lan{served: map[string]answerer{}}
	l.answer = func(string) (answerer, error) { told = append(told, l.told); return down{&ended}, nil }
	loop, far := mustAddr(t, "/ip4/127.0.0.1/tcp/7716"), mustAddr(t, "/ip4/192.168.1.5/tcp/7716")
	for _, addrs := range [][]ma.Multiaddr{{loop}, {loop}, {far}, {far}} {
		l.restate(addrs)
		l.show([]string{"pool"})
	}
	if len(told) != 2 || ended != 1 || !told[1][0].Equal(far) {
		t.Errorf("told %v and ended %d, want each address once and the first one ended", told, ended)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	id := someID(t)
	good := mdnsAddr + "/ip4/192.168.1.5/tcp/7716/p2p/" + id.String()
	for _, c := range []struct {
		what  string
		txt   []string
		nodes int
	}{
		{"one node", []string{good}, 1},
		{"nothing", nil, 0},
		{"another program's text", []string{"path=/", "\xff\xfe", strings.Repeat("x", 255)}, 0},
		{"no id", []string{mdnsAddr + "/ip4/192.168.1.5/tcp/7716"}, 0},
		{"no address", []string{mdnsAddr + "/ip4/1.2.3/tcp/70000/p2p/x", good}, 1},
	} {
		if got := readTXT(c.txt); len(got) != c.nodes {
			t.Errorf("%s: %v, want %d nodes", c.what, got, c.nodes)
		}
	}
	if got := readTXT(slices.Repeat([]string{good}, 1000)); len(got) != 1 || len(got[0].Addrs) > 2*mdnsAddrs {
		t.Errorf("a thousand addresses in one answer give %v", got)
	}
}

func FuzzReadTXT(f *testing.F) {
	f.Add(mdnsAddr + "/ip4/192.168.1.5/tcp/7716/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf\n" + mdnsAddr + "/ip6/::1")
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range readTXT(strings.Split(s, "\n")) {
			if p.ID == "" || len(p.Addrs) > 2*mdnsAddrs {
				t.Errorf("%q gives %v", s, p)
			}
		}
	})
}
