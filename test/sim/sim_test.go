package sim_test

import (
	"log/slog"
	"os"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/bwaklog/meerkat/test/sim"
)

// few is how many seeds a plain go test plays.
const few = 6

// met are seeds that found something: 28 files that were never fetched while the pool was busy; 63 and 93 members that
// could not find each other again; 151 an index that could not follow a file whose list of chunks the tree had let go of, so
// that the file passed for an edit, in some runs; 24 the last copy of a value, displaced where the disk took nothing more; 203 a value that came back with a member whose state was lost. In 336 a deletion was undone
// because others settled a conflict at that moment. In 796 a directory stays where a file is wanted that nobody has any more.
// 627 crashed a node to which a member came back that had known nothing. In 429 a member whose state was put back from a backup of the same run said
// anew what another deleted at that moment, and so kept it.
var met = []uint64{24, 28, 63, 93, 151, 203, 336, 429, 627, 796}

// TestSim plays seeded histories. MEERKAT_SIM_SEED=n plays that one alone, MEERKAT_SIM_SEEDS=n so many from the first on;
// MEERKAT_SIM_FIRST says which is the first.
func TestSim(t *testing.T) {
	if s := os.Getenv("MEERKAT_SIM_SEED"); s != "" {
		play(t, number(t, s))
		return
	}
	first, n := uint64(1), uint64(few)
	if s := os.Getenv("MEERKAT_SIM_SEEDS"); s != "" {
		n = number(t, s)
	}
	if s := os.Getenv("MEERKAT_SIM_FIRST"); s != "" {
		first = number(t, s)
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { t.Parallel(); play(t, seed) })
	}
	for _, seed := range met {
		if seed < first || seed >= first+n {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { t.Parallel(); play(t, seed) })
		}
	}
}

// TestSimPeople is TestSim where members are taken out and come back. MEERKAT_SIM_SEED and MEERKAT_SIM_FIRST are as there; it plays one
// history where that plays five.
// In 17 a value came back that somebody had deleted who had it from a removed member: others found it anew on their disks.
func TestSimPeople(t *testing.T) {
	first, n := uint64(1), uint64(few)
	for name, at := range map[string]*uint64{"MEERKAT_SIM_SEED": &first, "MEERKAT_SIM_FIRST": &first, "MEERKAT_SIM_SEEDS": &n} {
		if s := os.Getenv(name); s != "" {
			*at = number(t, s)
		}
	}
	if n = (n + 4) / 5; os.Getenv("MEERKAT_SIM_SEED") != "" {
		n = 1
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { t.Parallel(); playPeople(t, seed) })
	}
	if first+n <= 17 && os.Getenv("MEERKAT_SIM_SEED") == "" {
		t.Run("17", func(t *testing.T) { playPeople(t, 17) })
	}
}

func playPeople(t *testing.T, seed uint64) {
	p := plan(t, seed)
	p.Machines, p.Faults.People, p.Faults.Losses, p.Faults.Disks, p.Faults.Late = 3+int(seed%3), true, false, false, false
	live(t, p, "TestSimPeople")
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// play runs one history. What happened is told where it fails, or with -v.
func play(t *testing.T, seed uint64) { live(t, plan(t, seed), "TestSim") }

// plan is what a seed's history is made of.
func plan(t *testing.T, seed uint64) sim.Plan {
	p := sim.Plan{Seed: seed, Machines: 2 + int(seed%4), Steps: 60, Log: logger(t), Say: t.Logf}
	on := func(kind string) bool { return os.Getenv("MEERKAT_SIM_WITHOUT_"+kind) == "" }
	p.Faults = sim.Faults{
		Network: on("NETWORK"), Stops: on("STOPS"), Crashes: on("CRASHES"), Midway: on("MIDWAY"), Late: on("LATE"), Losses: on("LOSSES"),
		Early: on("EARLY") && seed%2 == 0, Disks: on("DISKS") && seed%5 == 4,
	}
	return p
}

func live(t *testing.T, p sim.Plan, name string) {
	base := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		if err := sim.Live(p, base); err != nil {
			t.Errorf("seed %d: %v\nagain: MEERKAT_SIM_SEED=%d go test ./test/sim -run '^%s$' -v", p.Seed, err, p.Seed, name)
		}
	})
}

// logger writes what the nodes log where the test's own output goes; debugging with MEERKAT_SIM_DEBUG.
func logger(t *testing.T) *slog.Logger {
	level := slog.LevelInfo
	if os.Getenv("MEERKAT_SIM_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(lines{t}, &slog.HandlerOptions{Level: level}))
}

type lines struct{ t *testing.T }

func (l lines) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}
