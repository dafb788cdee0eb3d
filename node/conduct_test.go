package node

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

const liar = peer.ID("liar")

func TestWhoForgesIsToldOfAndShutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shunned []peer.ID
		c := newConduct(func(p peer.ID) { shunned = append(shunned, p) })
		forged := fmt.Errorf("open: %w", event.ErrSignature)
		if s := c.blame(liar, forged); s.says == "" || s.shut != 0 {
			t.Errorf("after one forgery: %+v, want it told and not shut out", s)
		}
		if s := c.blame(liar, forged); s.says != "" {
			t.Errorf("the same is told again at once: %q", s.says)
		}
		c.blame(liar, forged)
		if s := c.blame(liar, forged); s.shut != shutFirst || s.says == "" {
			t.Errorf("after four forgeries: %+v, want shut out for %v and told", s, shutFirst)
		}
		if len(shunned) != 1 || !c.shutOut(liar) || c.InterceptPeerDial(liar) || c.InterceptSecured(0, liar, nil) {
			t.Errorf("shunned %v, shut out %v", shunned, c.shutOut(liar))
		}
		time.Sleep(shutFirst + time.Second)
		if c.shutOut(liar) {
			t.Error("still shut out when the time is over")
		}
		for range 4 {
			c.blame(liar, forged)
		}
		time.Sleep(shutFirst + time.Second)
		if !c.shutOut(liar) {
			t.Error("the second time is not longer")
		}
	})
}

func TestOffencesFade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConduct(func(peer.ID) { t.Error("shut out for rare small offences") })
		for range 200 {
			c.blame(liar, pubsub.ErrProtocol)
			time.Sleep(20 * time.Second)
		}
	})
}

func TestDecayHalvesByTheMinute(t *testing.T) {
	for d, want := range map[time.Duration]float64{0: 1, 30 * time.Second: .75, time.Minute: .5, 2 * time.Minute: .25} {
		if got := decay(d); math.Abs(got-want) > .01 {
			t.Errorf("decay(%v) = %v, want %v", d, got, want)
		}
	}
}

func TestQuotaIsSpentAndMadeGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q quota
		q.take(liar, quotaMost-1)
		if q.spent(liar) {
			t.Error("spent before it is")
		}
		q.take(liar, 10)
		if !q.spent(liar) || q.flows(liar) {
			t.Errorf("beyond the quota: spent %v, flows %v", q.spent(liar), q.flows(liar))
		}
		if q.spent("honest") {
			t.Error("another author pays for it")
		}
		q.give(liar, quotaLeast/2)
		if !q.spent(liar) || !q.flows(liar) {
			t.Errorf("with a little room: spent %v, flows %v", q.spent(liar), q.flows(liar))
		}
		q.give(liar, quotaLeast)
		if q.spent(liar) {
			t.Error("spent although what was announced came")
		}
		q.take(liar, 2*quotaLeast)
		time.Sleep(2 * quotaLeast / quotaASec * time.Second)
		if q.spent(liar) {
			t.Error("time alone makes no room")
		}
	})
}

func TestBurdenIsMadeGoodByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q quota
		if !q.bears(liar, 2*burdenMost) {
			t.Error("what costs more than all there is never goes in")
		}
		if q.bears(liar, 1) || !q.spent(liar) || !q.burdened(liar) {
			t.Errorf("in debt: spent %v, burdened %v", q.spent(liar), q.burdened(liar))
		}
		if q.spent("honest") || q.burdened("honest") {
			t.Error("another author pays for it")
		}
		time.Sleep(2 * burdenMost / burdenASec * time.Second)
		if q.spent(liar) || !q.bears(liar, burdenMost) {
			t.Error("time alone does not make it good")
		}
		q.bear(liar, 1)
		if !q.spent(liar) {
			t.Error("what was taken in is not counted")
		}
	})
}

func TestAuthorThatDoesNotKnowItself(t *testing.T) {
	w := event.Writer{Node: liar, Epoch: 1}
	leaf := func(seq, own uint64, p event.Path) event.Leaf {
		l := event.Leaf{Dot: event.Dot{Writer: w, Seq: seq}, Event: event.Event{Path: p}, Raw: []byte{1}}
		if own > 0 {
			l.Event.Ctx = event.Vector{w: own}
		}
		return l
	}
	for name, c := range map[string]struct {
		leaves []event.Leaf
		want   int
	}{
		"each on its own path":          {[]event.Leaf{leaf(5, 0, "a"), leaf(6, 0, "b")}, 0},
		"edits of one path":             {[]event.Leaf{leaf(5, 3, "a"), leaf(6, 5, "a"), leaf(7, 6, "a")}, 0},
		"knows nothing of itself":       {[]event.Leaf{leaf(5, 0, "a"), leaf(6, 0, "a"), leaf(7, 0, "a")}, 2},
		"knows the one before last":     {[]event.Leaf{leaf(5, 0, "a"), leaf(6, 5, "a"), leaf(7, 5, "a")}, 1},
		"pruned ones are not looked at": {[]event.Leaf{leaf(5, 0, "a"), {Dot: event.Dot{Writer: w, Seq: 6}}, leaf(7, 5, "a")}, 0},
	} {
		if got := deaf(event.Segment{Writer: w, First: 5, Leaves: c.leaves}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestFilesThatNoDiskHoldsCostMore(t *testing.T) {
	of := func(size int64) float64 {
		return price(event.Segment{Leaves: make([]event.Leaf, 3)}) - 3 +
			price(event.Segment{Leaves: []event.Leaf{{Event: event.Event{Value: event.Value{Kind: event.File, Size: size}}}}})
	}
	for size, want := range map[int64]float64{0: 1, 1 << 39: 1, 3 << 40: 4, 1 << 50: 1 + quotaSizeMost} {
		if got := of(size); got != want {
			t.Errorf("a file of %d bytes costs %v, want %v", size, got, want)
		}
	}
}

func TestBlockadeTriesAFewAndThenMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b blockade
		picked := func() (n int) {
			for i := range 20_000 {
				if b.picks(event.Path(fmt.Sprint("p", i))) {
					n++
				}
			}
			return n
		}
		if !b.begin(false) {
			t.Fatal("the first turn tries nothing")
		}
		b.end(0, 20_000)
		if b.begin(false) {
			t.Error("tries again at once")
		}
		time.Sleep(tryPause + time.Second)
		b.begin(false)
		if n := picked(); n < tryFew/2 || n > 2*tryFew {
			t.Errorf("%d of 20,000 are tried, want about %d", n, tryFew)
		}
		b.end(100, 19_900)
		time.Sleep(tryPause + time.Second)
		b.begin(false)
		if n := picked(); n < 2*tryFew {
			t.Errorf("%d are tried after some came, want more", n)
		}
		b.end(0, 19_900)
		b.begin(true)
		if n := picked(); n != 20_000 {
			t.Errorf("%d are tried when somebody came, want all", n)
		}
	})
}

func TestStrangerWhoDoesNotStopIsShownTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outs := map[peer.ID]int{}
		d := doorman{
			ResourceManager: &network.NullResourceManager{}, fellow: func(p peer.ID) bool { return p == "member" },
			pest: func(p peer.ID) { outs[p]++ },
		}
		for _, p := range []peer.ID{"member", "joins"} {
			for range 120 { // a stranger who joins, and all that goes with it
				_, _ = d.OpenStream(p, network.DirInbound) // only counted
			}
		}
		for range 1000 {
			_, _ = d.OpenStream("member", network.DirInbound) // likewise
			_, _ = d.OpenStream(liar, network.DirInbound)     // likewise
		}
		if outs[liar] == 0 || outs["member"] != 0 || outs["joins"] != 0 {
			t.Errorf("shut out %v, want the liar alone", outs)
		}
	})
}

func TestStrangersOpenStreamsAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b buckets
		open := 0
		for range 1000 {
			if b.allow("stranger", strangerStreams, strangerStreamsAtOnce) {
				open++
			}
		}
		if open != strangerStreamsAtOnce {
			t.Errorf("%d streams at once, want %d", open, strangerStreamsAtOnce)
		}
		time.Sleep(time.Second)
		if !b.allow("stranger", strangerStreams, strangerStreamsAtOnce) {
			t.Error("none a second later")
		}
		for i := range 3 * bucketsMost {
			b.allow(fmt.Sprint(i), 1, 1)
		}
		if len(b.by) > bucketsMost {
			t.Errorf("%d buckets are kept, at most %d", len(b.by), bucketsMost)
		}
	})
}
