package node

import (
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// quietLinks are links of a host that listens nowhere, to those wanted.
func quietLinks(t *testing.T, fixed []ma.Multiaddr, wanted ...peer.ID) *links {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return newLinks(h, slog.New(slog.DiscardHandler), fixed, func() []peer.ID { return wanted }, func() {})
}

func keysOf(calls []call) (out []peer.ID) {
	for _, c := range calls {
		out = append(out, c.key)
	}
	return out
}

// With more members away than may be dialled at once, those who stand last in
// the roster have to be tried as well.
func TestDialLongestWaitingFirst(t *testing.T) {
	var wanted []peer.ID
	for range 3 * maxDials {
		wanted = append(wanted, someID(t))
	}
	l := quietLinks(t, nil, wanted...)
	now := time.Now()
	for i, p := range wanted {
		l.learn(peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{mustAddr(t, "/ip4/127.0.0.1/tcp/1")}})
		l.tries[p] = &try{next: now.Add(-time.Duration(i) * time.Second)}
	}
	got, want := keysOf(l.due(now)), slices.Clone(wanted)
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Errorf("due is not ordered by how long it waits:\n%v, want\n%v", got, want)
	}
	l.claim(want[0], true)
	if slices.Contains(keysOf(l.due(now)), want[0]) {
		t.Error("who is being dialled is due once more")
	}
}

func TestPauseBetweenDials(t *testing.T) {
	p := someID(t)
	for _, c := range []struct {
		what string
		ago  time.Duration
		most time.Duration
	}{
		{"seen lately: heals within 10 s", time.Minute, 2 * time.Second},
		{"seen today", time.Hour, 8 * time.Second},
		{"away for days", 48 * time.Hour, 30 * time.Second},
	} {
		l := quietLinks(t, nil, p)
		l.began, l.seen[p] = time.Now().Add(-72*time.Hour), time.Now().Add(-c.ago)
		l.tries[p] = &try{fails: 20}
		for range 50 {
			l.end(p, errors.New("no answer"))
			if wait := time.Until(l.tries[p].next); wait > c.most || wait < c.most/8 {
				t.Errorf("%s: the next dial is in %v, want at most %v", c.what, wait, c.most)
			}
		}
	}
}

// Addresses that libp2p has forgotten are taken from what the member last said.
func TestDialWhereAMemberLastWas(t *testing.T) {
	p := someID(t)
	l := quietLinks(t, nil, p)
	if got := l.due(time.Now()); len(got) > 0 {
		t.Errorf("dials %v without an address", keysOf(got))
	}
	a := mustAddr(t, "/ip4/127.0.0.1/tcp/1")
	l.recall = func(peer.ID) []ma.Multiaddr { return []ma.Multiaddr{a} }
	l.due(time.Now()) // courtesy: the other one may dial first
	if got := keysOf(l.due(time.Now().Add(time.Minute))); !slices.Equal(got, []peer.ID{p}) {
		t.Errorf("dials %v, want the member that last said where it is", got)
	}
	if got := l.host.Peerstore().Addrs(p); !slices.ContainsFunc(got, a.Equal) {
		t.Errorf("its addresses are %v, want %v", got, a)
	}
}

// Addresses that lie are many and lead nowhere; the newest are tried.
func TestFewAddressesOfOneNode(t *testing.T) {
	p := someID(t)
	l := quietLinks(t, nil, p)
	last := ma.Multiaddr(nil)
	for i := range 40 * maxKnown {
		last = ma.StringCast("/ip4/10." + strconv.Itoa(i/250) + ".0." + strconv.Itoa(i%250) + "/tcp/7716")
		l.learn(peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{last}})
	}
	if got := l.host.Peerstore().Addrs(p); len(got) > maxKnown || !slices.ContainsFunc(got, last.Equal) {
		t.Errorf("%d addresses are kept, want at most %d and the newest", len(got), maxKnown)
	}
}

// A bootstrap list that answers nothing is named, with what to do.
func TestNetcheckNamesAddressesThatAnswerNothing(t *testing.T) {
	named := mustAddr(t, "/ip4/127.0.0.1/tcp/1/p2p/"+someID(t).String())
	l := quietLinks(t, []ma.Multiaddr{named, mustAddr(t, "/ip4/127.0.0.1/tcp/2")})
	got := l.unanswered()
	if want := []string{named.String(), "/ip4/127.0.0.1/tcp/2"}; !slices.Equal(got, want) {
		t.Errorf("unanswered = %v, want %v", got, want)
	}
	for _, reach := range []string{"public", "private"} {
		advice := NetInfo{Reachability: reach, Multicast: true, Unanswered: got}.advise(DefaultPort)
		if len(advice) == 0 || !strings.Contains(advice[0], named.String()) {
			t.Errorf("a %s node is advised %q, want a word on %v", reach, advice, named)
		}
	}
	if advice := (NetInfo{Reachability: "public"}).advise(DefaultPort); len(advice) > 0 {
		t.Errorf("advised %q though nothing is wrong", advice)
	}
}

// Strangers under ever new names are not remembered for ever; members are.
func TestStrangersAreForgotten(t *testing.T) {
	member := someID(t)
	l := quietLinks(t, nil, member)
	l.seen[member], l.tries[member] = time.Now(), &try{}
	fixed := fixedKey + peer.ID("/ip4/127.0.0.1/tcp/2")
	l.tries[fixed] = &try{}
	for i := range 3 * maxRemembered {
		p := peer.ID("stranger " + strconv.Itoa(i))
		l.seen[p], l.tries[p] = time.Now(), &try{}
	}
	l.forget()
	if len(l.seen) != 1 || len(l.tries) != 2 || l.tries[fixed] == nil || l.seen[member].IsZero() {
		t.Errorf("%d and %d are remembered, want the member and the fixed address alone", len(l.seen), len(l.tries))
	}
}
