package pool_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew (draws new secrets)")

// vectors are bytes for other implementations: what opens, and what it says.
type vectors struct {
	Comment string         `json:"comment"`
	Records []recordVector `json:"records"` // in any order; together the roster below
	Ticket  ticketVector   `json:"ticket"`
	Roster  rosterVector   `json:"roster"`
}

type recordVector struct {
	Raw    string `json:"raw"`
	Hash   string `json:"hash"`
	Act    string `json:"act"`
	Author string `json:"author"`
	HLC    uint64 `json:"hlc"`
	Node   string `json:"node,omitempty"`
	Name   string `json:"name,omitempty"`
	Holds  bool   `json:"holds"`
}

type ticketVector struct {
	Text    string    `json:"text"`
	ID      string    `json:"id"`
	Pool    string    `json:"pool"`
	Issuer  string    `json:"issuer"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"`
	Addrs   []string  `json:"addrs"`
	Claim   string    `json:"claim"`
}

type rosterVector struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Digest  string            `json:"digest"`
	Members map[string]string `json:"members"` // id: role
	Merged  string            `json:"merged"`  // id of the pool as which it goes on
}

const vectorFile = "testdata/vectors.json"

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v recordVector) raw(t testing.TB) []byte { return unhex(t, v.Raw) }
func (v vectors) claim(t testing.TB) []byte    { return unhex(t, v.Ticket.Claim) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	v := readVectors(t)
	var recs []pool.Record
	for _, rv := range v.Records {
		rec, err := pool.OpenRecord(rv.raw(t))
		if err != nil {
			t.Fatalf("%s %s: %v", rv.Act, rv.Hash, err)
		}
		recs = append(recs, rec)
	}
	ro, err := pool.NewRoster(recs)
	if err != nil {
		t.Fatal(err)
	}
	tk, err := pool.ParseTicket(v.Ticket.Text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(describe(ro, tk, v.claim(t)), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := pool.ParseClaim(v.claim(t)); err != nil {
		t.Error(err)
	}
}

func describe(ro *pool.Roster, tk pool.Ticket, claim []byte) vectors {
	v := vectors{
		Comment: "See docs/protocol.md. Secrets and keys of these vectors are public: use them for nothing.",
		Roster:  rosterVector{ro.ID().String(), ro.Name(), ro.Digest().String(), map[string]string{}, ""},
		Ticket: ticketVector{
			tk.String(), tk.ID().String(), tk.Pool.String(), tk.Issuer.String(), tk.Role.String(),
			tk.Expires, tk.Uses, tk.Addrs, hex.EncodeToString(claim),
		},
	}
	for _, r := range ro.Records() {
		rv := recordVector{
			Raw: hex.EncodeToString(r.Raw), Hash: r.Hash.String(), Act: r.Act.String(), Author: r.Author.String(),
			HLC: uint64(r.HLC), Name: r.Name, Holds: ro.Holds(r.Hash),
		}
		if r.Node != "" {
			rv.Node = r.Node.String()
		}
		v.Records = append(v.Records, rv)
	}
	if next, ok := ro.Merged(); ok {
		v.Roster.Merged = next.ID.String()
	}
	for _, m := range ro.Members() {
		v.Roster.Members[m.ID.String()] = m.Role.String()
	}
	return v
}

// seeded is the node whose Ed25519 seed is 32 times b.
func seeded(t *testing.T, b byte) node {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{b}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return node{key, id}
}

// writeVectors tells one story with every act in it: a keeper admits by a
// ticket, and an admin is removed while it admits somebody unseen.
func writeVectors(t *testing.T) {
	w := &world{t: t, now: event.HLCOf(epoch0), founder: seeded(t, 1)}
	admin, keeper, joiner, lost := seeded(t, 2), seeded(t, 3), seeded(t, 4), seeded(t, 5)
	var err error
	w.ro, err = pool.NewRoster([]pool.Record{w.got(pool.Found(w.founder.key, "home", "laptop", w.tick()))})
	if err != nil {
		t.Fatal(err)
	}
	w.ro = w.on(w.ro, w.got(w.ro.Admit(w.founder.key, admin.id, "desk", pool.Admin, w.tick())))
	w.ro = w.on(w.ro, w.got(w.ro.Admit(w.founder.key, keeper.id, "pi", pool.Keeper, w.tick())))
	tk := w.invite(pool.Writer, 1)
	w.ro = w.on(w.ro, w.got(w.honour(keeper, joiner, tk)))
	w.ro = w.on(w.ro, w.got(w.ro.Revoke(admin.key, tk.ID(), w.tick())))
	w.ro = w.on(w.ro, w.got(w.ro.SetRole(admin.key, keeper.id, pool.Reader, event.Vector{}, w.tick())))
	unseen := w.got(w.ro.Admit(admin.key, lost.id, "lost", pool.Writer, w.tick()))
	cut := event.Vector{{Node: admin.id, Epoch: uint64(event.HLCOf(epoch0))}: 3}
	gone := w.got(w.ro.Remove(w.founder.key, admin.id, cut, w.tick()))
	w.ro = w.on(w.ro, unseen, gone)
	w.ro = w.on(w.ro, w.got(w.ro.Rename(w.founder.key, "", "house", w.tick())))
	next := pool.Successor{ID: event.PoolID{7}, Name: "family", Addrs: []string{"/ip4/192.0.2.7/tcp/7716/p2p/" + keeper.id.String()}}
	w.ro = w.on(w.ro, w.got(w.ro.Merge(w.founder.key, next, w.tick())))
	b, err := json.MarshalIndent(describe(w.ro, tk, tk.Claim(joiner.id).Encode()), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(vectorFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
