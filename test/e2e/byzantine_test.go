package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// What an adversary may cost an honest node over its baseline.
const (
	mostCPU    = 0.20             // of a core
	mostMemory = 64 << 20         // bytes
	attackTime = 30 * time.Second // of the adversary by itself
)

// How often the adversary acts in a row.
const (
	once  = 1
	twice = 2 // those that do most by doing much
)

var buildEvil = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(lab.Program), "meerkat-evil")
	out, err := exec.Command("go", "build", "-o", path, "github.com/bwaklog/meerkat/test/evil").CombinedOutput()
	if err != nil {
		err = errors.Join(err, errors.New(string(out)))
	}
	return path, err
})

// siege is two honest nodes and a member that is about to lie.
type siege struct {
	*lab.Lab
	t       *testing.T
	a, b, e *lab.Host
	evil    string
	cpu     map[*lab.Host]float64
	rss     map[*lab.Host]int64
	peak    map[*lab.Host]int64
}

func besiege(t *testing.T) *siege {
	t.Helper()
	t.Parallel()
	evil, err := buildEvil()
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(t, "a", "b", "e")
	s := &siege{
		Lab: l, t: t, a: l.Hosts[0], b: l.Hosts[1], e: l.Hosts[2], evil: evil,
		cpu: map[*lab.Host]float64{}, rss: map[*lab.Host]int64{}, peak: map[*lab.Host]int64{},
	}
	for i := range 50 {
		s.a.Write(fmt.Sprintf("dir%d/file%02d", i%5, i), fmt.Sprintf("content %d", i))
	}
	l.Pool(s.a, s.b, s.e)
	s.e.Stop()
	return s
}

func (s *siege) honest() []*lab.Host { return []*lab.Host{s.a, s.b} }

// addr is where h listens for TCP, with its id.
func (s *siege) addr(h *lab.Host) string {
	s.t.Helper()
	var id struct{ Addrs []string }
	h.JSON(&id, "id")
	for _, a := range id.Addrs {
		if strings.HasPrefix(a, "/ip4/"+h.IP+"/tcp/") {
			return a
		}
	}
	s.t.Fatalf("%s listens nowhere on %s: %v", h.Name, h.IP, id.Addrs)
	return ""
}

// attack runs the adversary against both, for half a minute each time;
// meanwhile it calls during once a second. It checks what the honest nodes
// spent, and that they went on serving each other.
func (s *siege) attack(kind string, times int, during func(second int)) {
	s.t.Helper()
	s.measure()
	start, second := time.Now(), 0
	for i := range times {
		err := s.act(kind, func() {
			during(second)
			s.sample()
			second++
		})
		if err == nil {
			continue
		}
		// One that is shut out by then is not let in again so soon.
		if exit, ok := errors.AsType[*exec.ExitError](err); i == 0 || !ok || exit.ExitCode() != 1 {
			s.t.Fatalf("adversary: %v\n%s", err, s.Logs())
		}
		s.t.Logf("the adversary could not even try: %v", err)
	}
	s.account(kind, time.Since(start))
}

// act runs the adversary once, and calls each every second for as long as it
// is to act, even if it gives up.
func (s *siege) act(kind string, each func()) error {
	s.t.Helper()
	cmd := s.e.Command(s.evil, kind, "--home", s.e.Home, "--target", s.addr(s.a), "--other", s.addr(s.b))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	end := time.Now().Add(attackTime)
	var err error
	for left := true; left || time.Now().Before(end); {
		select {
		case err = <-gone:
			left = false
		case <-tick.C:
			each()
		}
	}
	s.t.Logf("%s", bytes.TrimSpace(said.Bytes()))
	return err
}

func (s *siege) measure() {
	time.Sleep(2 * time.Second) // what the join left over is done
	for _, h := range s.honest() {
		s.cpu[h], s.rss[h] = cpuSeconds(s.t, h), resident(s.t, h)
		s.peak[h] = s.rss[h]
	}
}

func (s *siege) sample() {
	for _, h := range s.honest() {
		s.peak[h] = max(s.peak[h], resident(s.t, h))
	}
}

// account compares with the baseline.
func (s *siege) account(kind string, took time.Duration) {
	s.t.Helper()
	s.sample()
	for _, h := range s.honest() {
		share := (cpuSeconds(s.t, h) - s.cpu[h]) / took.Seconds()
		more := s.peak[h] - s.rss[h]
		s.t.Logf("%s under %s: %.1f %% of a core, %d MB more memory", h.Name, kind, share*100, more>>20)
		if share > mostCPU {
			s.t.Errorf("%s used %.1f %% of a core under %s, at most %.0f %%", h.Name, share*100, kind, mostCPU*100)
		}
		if more > mostMemory {
			s.t.Errorf("%s took %d MB more under %s, at most %d", h.Name, more>>20, kind, mostMemory>>20)
		}
	}
}

func cpuSeconds(t *testing.T, h *lab.Host) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.Node.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err := strconv.ParseFloat(f[11], 64)
	sys, err2 := strconv.ParseFloat(f[12], 64)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return (user + sys) / 100
}

func resident(t *testing.T, h *lab.Host) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Node.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// talk has A and B change files in turn, and checks that what A wrote before
// has come to B, and the other way round.
func (s *siege) talk(second int) {
	s.t.Helper()
	s.a.Write(fmt.Sprintf("talk/a%d", second), fmt.Sprintf("a %d", second))
	s.b.Write(fmt.Sprintf("talk/b%d", second), fmt.Sprintf("b %d", second))
	if late := s.patience(); second >= late {
		s.arrived(second - late)
	}
}

// patience is how many seconds a file may take from one honest node to the
// other: 10, and more where the machine has far more to do than it can, which
// says nothing of the attack.
func (s *siege) patience() int {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		s.t.Fatal(err)
	}
	load, err := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	if most := 4 * float64(runtime.NumCPU()); load > most {
		return int(10 * min(load/most, 6))
	}
	return 10
}

// arrived checks what was said in that second.
func (s *siege) arrived(second int) {
	s.t.Helper()
	for _, w := range []struct {
		at   *lab.Host
		from string
	}{{s.b, "a"}, {s.a, "b"}} {
		name := fmt.Sprintf("talk/%s%d", w.from, second)
		got, err := os.ReadFile(filepath.Join(w.at.Dir, name))
		if want := fmt.Sprintf("%s %d", w.from, second); err != nil || string(got) != want {
			s.t.Errorf("%s on %s %d s after it was written: %q, %v", name, w.at.Name, s.patience(), got, err)
		}
	}
}

// contained checks that nothing lies outside of the folders.
func (s *siege) contained() {
	s.t.Helper()
	for _, h := range s.honest() {
		got, err := os.ReadDir(filepath.Dir(h.Dir))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range got {
			if n := e.Name(); n != filepath.Base(h.Dir) && n != filepath.Base(h.Home) {
				s.t.Errorf("%s has written %s outside of its folder", h.Name, n)
			}
		}
	}
	for _, p := range []string{"/tmp/meerkat-escape", "/meerkat-escape", "/escape"} {
		if _, err := os.Lstat(p); err == nil {
			s.t.Errorf("%s was written", p)
		}
	}
}

// accused checks that both honest nodes tell people about the adversary.
func (s *siege) accused(hosts ...*lab.Host) {
	s.t.Helper()
	for _, h := range hosts {
		s.Until(20*time.Second, "misbehaviour reported on "+h.Name, func() error {
			out := h.Cli("events", "--json")
			for _, line := range strings.Split(out, "\n") {
				var e struct{ Type, By, Detail string }
				if json.Unmarshal([]byte(line), &e) == nil && e.Type == "member.misbehaves" && e.By == s.id(s.e) {
					s.t.Logf("%s: %s", h.Name, e.Detail)
					return nil
				}
			}
			return errors.New("no event member.misbehaves by the adversary")
		})
	}
}

// id is the adversary's, as a member of the pool knows it.
func (s *siege) id(h *lab.Host) string {
	s.t.Helper()
	for _, m := range s.a.Status().Pools[0].Members {
		if m.Name == h.Name {
			return m.ID
		}
	}
	s.t.Fatalf("%s is not a member", h.Name)
	return ""
}

// O-BY-1: paths that lead out of the folder are refused one segment at a time,
// and links that lead out are not followed.
func TestO_BY_1_PathsThatEscape(t *testing.T) {
	s := besiege(t)
	s.attack("path-escape", once, s.talk)
	s.Equal(s.a, s.b)
	s.contained()
	s.accused(s.a, s.b)
}

// O-BY-2: of a member that says two things under one number both are kept, by
// everybody, and everybody knows.
func TestO_BY_2_Equivocation(t *testing.T) {
	s := besiege(t)
	s.attack("equivocate", once, s.talk)
	s.Equal(s.a, s.b)
	for _, h := range s.honest() {
		if _, err := os.Stat(filepath.Join(h.Dir, "fork/right4")); err != nil {
			t.Errorf("%s lacks what the adversary said on the longer branch: %v", h.Name, err)
		}
		if out := h.Cli("events", "--json"); !strings.Contains(out, "member.forked") {
			t.Errorf("%s does not tell of the fork:\n%s", h.Name, out)
		}
	}
}

// O-BY-3: events in another's name are refused, and who brings them is told of.
func TestO_BY_3_ForgedAuthor(t *testing.T) {
	s := besiege(t)
	s.attack("forge-author", once, s.talk)
	s.Equal(s.a, s.b)
	for _, h := range s.honest() {
		if _, err := os.Lstat(filepath.Join(h.Dir, "forged")); err == nil {
			t.Errorf("%s took a forged event", h.Name)
		}
	}
	s.accused(s.a, s.b)
}

// O-BY-4: wrong bytes never reach the disk, and the one who sent them is not
// asked again.
func TestO_BY_4_WrongChunks(t *testing.T) {
	s := besiege(t)
	s.attack("bad-chunk", once, s.talk)
	s.Equal(s.a, s.b)
	s.accused(s.b)
}

// O-BY-6: what everybody has said already changes nothing when it is said again.
func TestO_BY_6_Replay(t *testing.T) {
	s := besiege(t)
	s.a.OK(os.RemoveAll(s.a.Path("dir0")))
	s.a.Write("dir1/file01", "newer")
	s.Equal(s.a, s.b)
	s.attack("replay", twice, s.talk)
	s.Equal(s.a, s.b)
	if _, err := os.Stat(filepath.Join(s.b.Dir, "dir0")); err == nil {
		t.Error("what was deleted is back")
	}
}

// A clock far ahead wins a name, and nothing else: edits made with knowledge of
// it win over it, and no other clock follows.
func TestHugeClock(t *testing.T) {
	s := besiege(t)
	s.attack("huge-clock", once, s.talk)
	s.Equal(s.a, s.b)
	for _, name := range []string{"future/x", "seen/x", "after"} {
		s.b.Write(name, "edited since")
	}
	s.Equal(s.a, s.b)
	if year := changeYear(t, s.b, "after"); year > time.Now().Year() {
		t.Errorf("an event of an honest node is dated %d", year)
	}
}

// changeYear is the year of the newest event at a path.
func changeYear(t *testing.T, h *lab.Host, path string) int {
	t.Helper()
	year := 0
	for _, line := range strings.Split(h.Cli("log", path, "--json"), "\n") {
		var c struct{ Time time.Time }
		if err := json.Unmarshal([]byte(line), &c); err == nil {
			year = max(year, c.Time.Year())
		}
	}
	if year == 0 {
		t.Fatalf("no event of %s", path)
	}
	return year
}

// A stranger may send what it likes.
func TestStranger(t *testing.T) {
	s := besiege(t)
	s.attack("stranger", twice, s.talk)
	s.Equal(s.a, s.b)
	s.contained()
}
