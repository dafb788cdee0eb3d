package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestO_CK_1_ClockADayAhead: who has seen an edit comes after it, whatever the clocks say, also when the wrong clock jumps
// back; and in a conflict a clock that is ahead gains the plain name and nothing more.
func TestO_CK_1_ClockADayAhead(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	b.Program = l.Tagged("testclock")
	b.Env = append(b.Env, "MEERKAT_TEST_CLOCK=+86400s,rate=1.0,jump@15s=-172800")
	l.Pool(a, b)
	start := time.Now()
	for round := range 3 {
		for i, h := range []*lab.Host{b, a} {
			h.Write("f", fmt.Sprintf("%d by %d", round, i))
			l.Equal(a, b)
			b.Want("f", fmt.Sprintf("%d by %d", round, i))
		}
	}
	a.WantConflicts(0)
	if _, out, _ := strings.Cut(b.Cli("log", "f"), "\n"); !strings.Contains(b.Cli("log", "f", "--json"), start.Add(24*time.Hour).UTC().Format("2006-01-02T")) {
		t.Errorf("b's clock is not a day ahead, the test shows nothing: %s", out)
	}

	a.Cut(b)
	b.Write("f", "apart, by the clock that is ahead")
	a.Write("f", "apart, later, by the clock that is right")
	l.Heal()
	l.Equal(a, b)
	a.Want("f", "apart, by the clock that is ahead")
	a.Want(a.WantConflicts(1)[0], "apart, later, by the clock that is right")

	time.Sleep(time.Until(start.Add(17 * time.Second))) // now it is a day behind
	for round := range 3 {
		for i, h := range []*lab.Host{a, b} {
			h.Write("f", fmt.Sprintf("behind, %d by %d", round, i))
			l.Equal(a, b)
			a.Want("f", fmt.Sprintf("behind, %d by %d", round, i))
		}
	}
	a.WantConflicts(1)
}

// TestO_CK_1_NoHookInTheProgram: the program that people get cannot be told a false time.
func TestO_CK_1_NoHookInTheProgram(t *testing.T) {
	b, err := os.ReadFile(lab.Program)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "MEERKAT_TEST_CLOCK") {
		t.Error("the program knows of MEERKAT_TEST_CLOCK")
	}
}

// TestO_CK_2_OlderFileCopiedOver: what is copied over a file with an older mtime is the newer edit.
func TestO_CK_2_OlderFileCopiedOver(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "today's")
	outside := a.Path("../older")
	a.OK(os.WriteFile(outside, []byte("last year's"), 0o640))
	old := time.Now().Add(-365 * 24 * time.Hour)
	a.OK(os.Chtimes(outside, old, old))
	l.Equal(a, b)
	for _, cmd := range [][]string{{"cp", "-p", outside, a.Path("f")}, {"cp", "-p", "--remove-destination", outside, a.Path("f")}} {
		a.Write("f", "today's")
		l.Equal(a, b)
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd, err, out)
		}
		l.Equal(a, b)
		b.Want("f", "last year's")
		fi, err := os.Stat(b.Path("f"))
		b.OK(err)
		if got := fi.ModTime(); !got.Equal(old) {
			t.Errorf("%v: mtime %v on b, want %v", cmd, got, old)
		}
	}
	a.WantConflicts(0)
}
