package node_test

import (
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/node/internal/pb"
)

// The list is the one that everybody has: 2,048 words, of which no two share
// their first four letters.
func TestWordListIsTheKnownOne(t *testing.T) {
	text, err := os.ReadFile("words_english.txt")
	if err != nil {
		t.Fatal(err)
	}
	if sum := crc32.ChecksumIEEE(text); sum != 0xc1dbd296 {
		t.Errorf("its checksum is %x", sum)
	}
	words, starts := strings.Fields(string(text)), map[string]bool{}
	for _, w := range words {
		starts[w[:min(4, len(w))]] = true
	}
	if len(words) != 2048 || len(starts) != 2048 {
		t.Errorf("%d words with %d beginnings", len(words), len(starts))
	}
}

func askByHand(t *testing.T, b, a *side, g *node.Greeting) {
	t.Helper()
	answer, err := b.admit.AskByHand(t.Context(), a.host.ID(), "joiner", g)
	if err != nil || !answer.Pending {
		t.Fatalf("%+v, %v", answer, err)
	}
}

func seenWords(t *testing.T, a *side) []string {
	t.Helper()
	all := a.admit.Requests()
	if len(all) != 1 {
		t.Fatalf("%d requests, want 1", len(all))
	}
	return all[0].Words
}

func TestBothSidesShowTheSameWords(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	var g, other node.Greeting
	askByHand(t, b, a, &g)
	if got := seenWords(t, a); len(got) != 4 || !slices.Equal(got, g.Words) {
		t.Errorf("one side shows %v, the other %v", got, g.Words)
	}
	first := g.Words
	askByHand(t, b, a, &g)
	if !slices.Equal(g.Words, first) || !slices.Equal(seenWords(t, a), first) {
		t.Errorf("asked again: %v, and %v there, want %v", g.Words, seenWords(t, a), first)
	}
	askByHand(t, b, a, &other) // the joiner was restarted
	if slices.Equal(other.Words, first) || !slices.Equal(seenWords(t, a), other.Words) {
		t.Errorf("after a restart: %v, and %v there; before: %v", other.Words, seenWords(t, a), first)
	}
}

// Who did not commit to a nonce, or shows another one, gets no words.
func TestWordsNeedTheCommitment(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	for name, ask := range map[string]*pb.Ask{
		"none":           {Name: "b"},
		"a nonce alone":  {Name: "b", Nonce: make([]byte, 16)},
		"another nonce":  {Name: "b", Commit: make([]byte, 32), Nonce: make([]byte, 16)},
		"a short commit": {Name: "b", Commit: make([]byte, 31)},
	} {
		if m := rawAsk(t, b.host, a.host.ID(), ask); m.Verdict != pb.Answer_PENDING {
			t.Errorf("%s: %v", name, m)
		}
		if got := seenWords(t, a); got != nil {
			t.Errorf("%s: words %v", name, got)
		}
	}
}

// A request, its words and a refusal outlive the node that was asked.
func TestRequestsOutliveARestart(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	var g node.Greeting
	askByHand(t, b, a, &g)
	a.stop()
	if err := a.host.Close(); err != nil {
		t.Fatal(err)
	}
	again := newSide(t, a.home)
	if got := seenWords(t, again); !slices.Equal(got, g.Words) {
		t.Errorf("after a restart it shows %v, want %v", got, g.Words)
	}
	meet(t, b.host, again.host)
	askByHand(t, b, again, &g)
	if got := seenWords(t, again); !slices.Equal(got, g.Words) {
		t.Errorf("asked again: %v there and %v here", got, g.Words)
	}
	if err := again.admit.Deny(t.Context(), "joiner"); err != nil {
		t.Fatal(err)
	}
	third := node.NewAdmission(node.AdmissionConfig{Host: again.host, Key: a.home.Key(), Clock: a.home.Clock(), Facts: a.home.DB(), Pools: again.pools})
	if n := len(third.Requests()); n != 0 {
		t.Errorf("%d requests after a denial, want none", n)
	}
}
