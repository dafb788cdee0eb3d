package node

import (
	"errors"
	"log/slog"
	"maps"
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
		advice := NetInfo{Reachability: reach, Multicast: true, Unanswered: got}.advise(DefaultPort, mapNone)
		if len(advice) == 0 || !strings.Contains(advice[0], named.String()) {
			t.Errorf("a %s node is advised %q, want a word on %v", reach, advice, named)
		}
	}
	if advice := (NetInfo{Reachability: "public"}).advise(DefaultPort, mapNone); len(advice) > 0 {
		t.Errorf("advised %q though nothing is wrong", advice)
	}
}

// Strangers under ever new names are not remembered for ever, the last of them
// for longest; members are.
func TestStrangersAreForgotten(t *testing.T) {
	member, useful := someID(t), someID(t)
	l := quietLinks(t, nil, member)
	l.useful = func() []peer.ID { return []peer.ID{useful} }
	fixed := fixedKey + peer.ID("/ip4/127.0.0.1/tcp/2")
	l.tries[fixed] = &try{}
	came := []peer.ID{member, useful}
	for range 3 * maxRemembered {
		came = append(came, someID(t))
	}
	for i, p := range came {
		l.learn(peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{mustAddr(t, "/ip4/127.0.0.1/tcp/1")}})
		l.seen[p], l.tries[p] = time.Now().Add(time.Duration(i)*time.Second), &try{}
	}
	l.forget()
	want := append([]peer.ID{member, useful}, came[len(came)-maxRemembered:]...)
	for what, got := range map[string][]peer.ID{
		"seen": slices.Collect(maps.Keys(l.seen)), "their addresses": l.host.Peerstore().PeersWithAddrs(),
	} {
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %d are remembered, want the member, the useful one and the last %d", what, len(got), maxRemembered)
		}
	}
	if len(l.tries) != 3 || l.tries[fixed] == nil {
		t.Errorf("%d dials are remembered, want those of the member, the useful one and the fixed address", len(l.tries))
	}
}

// A crowd of strangers does not cost a member its connection.
func TestMembersAreSpared(t *testing.T) {
	member, other := someID(t), someID(t)
	wanted := []peer.ID{member}
	l := quietLinks(t, nil)
	l.want = func() []peer.ID { return wanted }
	for _, step := range []struct {
		wanted        []peer.ID
		member, other bool
	}{{[]peer.ID{member}, true, false}, {[]peer.ID{other, member}, true, true}, {[]peer.ID{other}, false, true}} {
		wanted = step.wanted
		l.guard()
		cm := l.host.ConnManager()
		if a, b := cm.IsProtected(member, ""), cm.IsProtected(other, ""); a != step.member || b != step.other {
			t.Errorf("with %d members: spared %v and %v, want %v and %v", len(wanted), a, b, step.member, step.other)
		}
	}
}

// However many lies are told of where a member is, what it said itself is tried.
func TestLiesDoNotHideWhereAMemberIs(t *testing.T) {
	member, truth := someID(t), mustAddr(t, "/ip4/192.0.2.1/tcp/1")
	l := quietLinks(t, nil, member)
	l.recall = func(peer.ID) []ma.Multiaddr { return []ma.Multiaddr{truth} }
	for i := range 100 {
		lie := mustAddr(t, "/ip4/127.0.0.1/tcp/"+strconv.Itoa(i+1))
		l.learn(peer.AddrInfo{ID: member, Addrs: []ma.Multiaddr{lie}})
	}
	l.remind(member)
	if got := l.host.Peerstore().Addrs(member); !slices.ContainsFunc(got, truth.Equal) || len(got) > maxKnown+1 {
		t.Errorf("%d addresses are known, want at most %d and the true one among them", len(got), maxKnown+1)
	}
}
