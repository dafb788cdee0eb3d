package node

import (
	"crypto/rand"
	_ "embed"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
)

// wordList is the English list of BIP 39, 2,048 words of which no two begin
// with the same four letters (MIT licence, bitcoin/bips).
//
//go:embed words_english.txt
var wordList string

const (
	pairWordCount = 4 // of 11 bits each
	pairNonceLen  = 16
	commitDomain  = "meerkat pair commit v1\n"
	wordsDomain   = "meerkat pair words v1\n"
)

// pairCommit is what a joiner shows of its nonce before it knows the other's.
func pairCommit(joiner peer.ID, nonce []byte) []byte {
	return pairHash(commitDomain, string(joiner), string(nonce))[:32]
}

// pairWords are the words that both screens show: a function of who the two
// ends of the connection have proven to be, and of a nonce of each.
func pairWords(joiner, other peer.ID, mine, theirs []byte) []string {
	h := pairHash(wordsDomain, string(joiner), string(other), string(mine), string(theirs))
	all := strings.Fields(wordList)
	var bits uint64
	for _, b := range h[:8] {
		bits = bits<<8 | uint64(b)
	}
	out := make([]string, pairWordCount)
	for i := range out {
		out[i] = all[bits>>(64-11*(i+1))%2048]
	}
	return out
}

// pairHash hashes parts of which each says how long it is.
func pairHash(domain string, parts ...string) []byte {
	h := blake3.New()
	_, _ = h.WriteString(domain) // never fails
	for _, p := range parts {
		_, _ = h.Write([]byte{byte(len(p) >> 8), byte(len(p))}) // never fails
		_, _ = h.WriteString(p)                                 // never fails
	}
	return h.Sum(nil)
}

func pairNonce() []byte {
	b := make([]byte, pairNonceLen)
	_, _ = rand.Read(b) // never fails, by its contract
	return b
}

// Greeting is a joiner's part in agreeing on words with the node that it asks
// to be let in by hand. It shows its nonce only after the other has shown its
// own, and the other has its commitment before that: so neither can choose a
// nonce that gives wanted words, and whoever stands between gets one guess of
// 2^44. The zero value is ready; it serves one pair of nodes.
type Greeting struct {
	mine, theirs []byte
	Words        []string // nil until both nonces are known
}

// offer is what is to be shown next: the commitment always, the nonce once the
// other's is known.
func (g *Greeting) offer(self peer.ID) (commit, nonce []byte) {
	if g.mine == nil {
		g.mine = pairNonce()
	}
	if g.theirs != nil {
		nonce = g.mine
	}
	return pairCommit(self, g.mine), nonce
}

// hear takes the other's nonce. It reports whether there is something new to
// show. One that changed means beginning anew: mine has been shown already.
func (g *Greeting) hear(self, other peer.ID, theirs []byte) (again bool) {
	switch {
	case len(theirs) != pairNonceLen:
		return false // it does not show words
	case g.theirs == nil:
		g.theirs = theirs
		g.Words = pairWords(self, other, g.mine, theirs)
		return true
	case string(g.theirs) != string(theirs):
		*g = Greeting{}
		return true
	}
	return false
}
