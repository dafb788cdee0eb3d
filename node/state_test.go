package node

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/event"
)

func TestStateOf(t *testing.T) {
	calm := facts{started: true, others: 2, online: 1}
	with := func(f func(*facts)) facts { x := calm; f(&x); return x }
	for name, c := range map[string]struct {
		f    facts
		want string
	}{
		"calm":                              {calm, StateInSync},
		"no other member":                   {facts{started: true}, StateInSync},
		"nobody online":                     {with(func(f *facts) { f.online = 0 }), StateOffline},
		"nobody online, and files wanted":   {with(func(f *facts) { f.online, f.wanted.Files = 0, 1 }), StateFetching},
		"first scan":                        {facts{scanning: true, wanted: Amount{Files: 1}}, StateStarting},
		"halted before the first scan":      {facts{halted: "gone"}, StateHalted},
		"halted while applying":             {with(func(f *facts) { f.halted, f.applying = "gone", true }), StateHalted},
		"applying while files are wanted":   {with(func(f *facts) { f.applying, f.wanted.Files = true, 3 }), StateApplying},
		"a member knows more":               {with(func(f *facts) { f.ahead = true }), StateFetching},
		"fetching while scanning":           {with(func(f *facts) { f.wanted.Files, f.scanning = 1, true }), StateFetching},
		"scanning":                          {with(func(f *facts) { f.scanning = true }), StateScanning},
		"a conflict that nobody settled":    {with(func(f *facts) { f.unsettled = 1 }), StateScanning},
		"a conflict while nobody is online": {with(func(f *facts) { f.unsettled, f.online = 1, 0 }), StateScanning},
	} {
		if got := stateOf(c.f); got != c.want {
			t.Errorf("%s: stateOf(%+v) = %s, want %s", name, c.f, got, c.want)
		}
	}
}

func TestRestless(t *testing.T) {
	w := func(epoch uint64) event.Writer { return event.Writer{Node: "x", Epoch: epoch} }
	heads := []event.Head{{Writer: w(1), Seq: 5}, {Writer: w(2), Seq: 3}}
	knows := func(a, b uint64) map[event.Writer]uint64 { return map[event.Writer]uint64{w(1): a, w(2): b} }
	for name, c := range map[string]struct {
		rep  *report
		want string // a part of it; "": calm
	}{
		"silent":                 {nil, "not said"},
		"leaving":                {&report{Heads: knows(5, 3), Leaving: true}, "not said"},
		"calm":                   {&report{Heads: knows(5, 3)}, ""},
		"behind":                 {&report{Heads: knows(4, 3)}, "newest changes"},
		"has not heard of one":   {&report{Heads: map[event.Writer]uint64{w(1): 5}}, "newest changes"},
		"ahead":                  {&report{Heads: knows(5, 4)}, "not here yet"},
		"ahead by a new writer":  {&report{Heads: map[event.Writer]uint64{w(1): 5, w(2): 3, w(3): 1}}, "not here yet"},
		"behind and ahead":       {&report{Heads: knows(4, 9)}, "newest changes"},
		"lacks files":            {&report{Heads: knows(5, 3), Wanted: Amount{Files: 7}}, "7 files"},
		"looks at its folder":    {&report{Heads: knows(5, 3), Busy: true}, "looking"},
		"lacks files, and looks": {&report{Heads: knows(5, 3), Wanted: Amount{Files: 7}, Busy: true}, "7 files"},
	} {
		got := restless(c.rep, heads, c.rep != nil && c.rep.ahead(heads))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: restless = %q, want %q", name, got, c.want)
		}
	}
}

func testKey(t testing.TB, seed byte) (crypto.PrivKey, peer.ID) {
	t.Helper()
	raw := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	key, err := crypto.UnmarshalEd25519PrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

var testPool = event.PoolID{1, 2, 3}

// testReport is one that uses every field.
func testReport(t testing.TB) (crypto.PrivKey, *report) {
	t.Helper()
	key, id := testKey(t, 1)
	return key, &report{
		Pool: testPool, Node: id, Time: 7, Heads: map[event.Writer]uint64{{Node: id, Epoch: 3}: 9},
		Wanted: Amount{Files: 2, Bytes: 100}, State: StateFetching, Version: "v", Leaving: true, Busy: true,
		Root: event.Hash{9}, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/7716")},
	}
}

func TestReportComesBack(t *testing.T) {
	key, r := testReport(t)
	raw, err := sealReport(key, r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openReport(testPool, raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.differs(r) || got.Pool != r.Pool || got.Node != r.Node || got.Time != r.Time || got.Version != r.Version || !got.Leaving {
		t.Errorf("opened %+v, want %+v", got, r)
	}
}

func TestReportsThatAreRefused(t *testing.T) {
	otherKey, other := testKey(t, 2)
	for name, change := range map[string]func(r *report, key *crypto.PrivKey){
		"another pool's":     func(r *report, _ *crypto.PrivKey) { r.Pool[0]++ },
		"signed by another":  func(_ *report, key *crypto.PrivKey) { *key = otherKey },
		"of another":         func(r *report, _ *crypto.PrivKey) { r.Node = other },
		"of nobody":          func(r *report, _ *crypto.PrivKey) { r.Node = "x" },
		"with a long state":  func(r *report, _ *crypto.PrivKey) { r.State = strings.Repeat("s", 33) },
		"with a long name":   func(r *report, _ *crypto.PrivKey) { r.Version = strings.Repeat("v", 65) },
		"of too many bytes":  func(r *report, _ *crypto.PrivKey) { r.Version = strings.Repeat("v", maxReport) },
		"with a bad writer":  func(r *report, _ *crypto.PrivKey) { r.Heads[event.Writer{Node: "x", Epoch: 1}] = 1 },
		"with a long reason": func(r *report, _ *crypto.PrivKey) { r.Lacks = []lack{{Reason: strings.Repeat("r", maxReason+1)}} },
	} {
		key, r := testReport(t)
		change(r, &key)
		raw, err := sealReport(key, r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := openReport(testPool, raw); !errors.Is(err, errReport) {
			t.Errorf("a report %s: %+v, %v; want it refused", name, got, err)
		}
	}
}

func TestReportWithAChangedBitIsRefused(t *testing.T) {
	key, r := testReport(t)
	raw, err := sealReport(key, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if got, err := openReport(testPool, bad); err == nil {
			t.Errorf("bit 0 of byte %d changed, and it was opened as %+v", i, got)
		}
	}
}

// A report is of bounded size whatever its node knows.
func TestReportFitsGossip(t *testing.T) {
	key, r := testReport(t)
	for i := range uint64(200) {
		r.Heads[event.Writer{Node: r.Node, Epoch: 100 + i}] = i
	}
	for i := range maxLacks {
		r.Lacks = append(r.Lacks, lack{Path: uint64(i), Reason: strings.Repeat("r", maxReason)})
	}
	raw, err := fitReport(key, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > gossiped {
		t.Errorf("%d bytes, at most %d are gossiped", len(raw), gossiped)
	}
	got, err := openReport(testPool, raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Heads[event.Writer{Node: r.Node, Epoch: 299}] != 199 {
		t.Errorf("the newest writer is not among the %d heads that were kept", len(got.Heads))
	}
	if n := got.behind([]event.Head{{Writer: event.Writer{Node: r.Node, Epoch: 101}, Seq: 1}}); n != 0 {
		t.Errorf("the reporter is taken to lack %d events of a writer that it only left out", n)
	}
}

func FuzzOpenReport(f *testing.F) {
	key, r := testReport(f)
	raw, err := sealReport(key, r)
	if err != nil {
		f.Fatal(err)
	}
	body, err := r.MarshalRecord()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, body)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		if got, err := openReport(testPool, raw); err == nil && got.Pool != testPool {
			t.Errorf("opened a report of pool %v", got.Pool)
		}
		var r report
		if r.UnmarshalRecord(body) != nil {
			return
		}
		if len(r.Addrs) > maxReportAddrs || len(r.Heads) > maxReportHeads || len(r.Lacks) > maxLacks || r.Wanted.Files < 0 || r.Wanted.Bytes < 0 {
			t.Errorf("out of bounds: %+v", r)
		}
		again, err := r.MarshalRecord()
		if err != nil {
			t.Fatal(err)
		}
		var got report
		if err := got.UnmarshalRecord(again); err != nil {
			t.Fatalf("what was read is refused when written again: %v", err)
		}
		if got.differs(&r) {
			t.Errorf("read %+v, and again %+v", r, got)
		}
	})
}
