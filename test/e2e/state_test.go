package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// notices gives the texts that status tells the owner.
func notices(h *lab.Host) string {
	var s struct{ Pools []struct{ Notices []string } }
	h.JSON(&s, "status")
	var out []string
	for _, p := range s.Pools {
		out = append(out, p.Notices...)
	}
	return strings.Join(out, "\n")
}

// told waits until status tells the owner something that contains text.
func told(l *lab.Lab, h *lab.Host, limit time.Duration, text string) {
	l.T.Helper()
	l.Until(limit, h.Name+" is told of "+text, func() error {
		if got := notices(h); !strings.Contains(got, text) {
			return fmt.Errorf("notices: %q", got)
		}
		return nil
	})
}

// changes lists the signed changes that a node knows.
func changes(h *lab.Host) []string { return strings.Split(h.Cli("log", "--json"), "\n") }

func TestO_LG_2_StateLost(t *testing.T) {
	for _, offline := range []bool{false, true} {
		t.Run(fmt.Sprintf("members off at the start %v", offline), func(t *testing.T) {
			l, a, b := two(t)
			for i := range 40 {
				a.Put(fmt.Sprintf("d%d/f%d", i%4, i), fmt.Sprintf("content %d", i))
			}
			a.Write("stale", "v1")
			l.Equal(a, b)
			b.Stop()
			for i := range 8 { // more than the roots that an event lists
				a.Write("stale", fmt.Sprintf("version %d", i+2))
				a.Cli("scan")
			}
			a.OK(os.Remove(a.Path("d1/f1")))
			a.Cli("scan")
			before := changes(a)
			b.OK(os.RemoveAll(filepath.Join(b.Home, "state")))
			if offline {
				a.Stop()
				b.Up()
				time.Sleep(3 * time.Second)
				a.Up()
			} else {
				b.Up()
			}
			l.Equal(a, b)
			b.Want("stale", "version 9")
			b.Want("d1/f1", "<absent>")
			a.WantConflicts(0)
			after := changes(a)
			added := slices.DeleteFunc(slices.Clone(after), func(line string) bool { return slices.Contains(before, line) })
			if len(added) > 0 || len(after) != len(before) {
				t.Errorf("%d changes after the loss, %d before; new:\n%s", len(after), len(before), strings.Join(added, "\n"))
			}
			told(l, b, 5*time.Second, "state was lost")
			b.Write("after", "x")
			l.Equal(a, b)
		})
	}
}

func TestStateLostAndUnknownFileKept(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "pool")
	l.Equal(a, b)
	b.Stop()
	b.OK(os.RemoveAll(filepath.Join(b.Home, "state")))
	b.Write("f", "mine")
	b.Write("new", "mine too")
	b.Up()
	l.Equal(a, b)
	a.Want("new", "mine too")
	if got := a.Read("f") + " " + a.Read(a.WantConflicts(1)[0]); !strings.Contains(got, "mine") || !strings.Contains(got, "pool") {
		t.Errorf("a value of f is lost: %s", got)
	}
}

func TestO_LG_1_StateRolledBack(t *testing.T) {
	l, a, b := two(t)
	b.Write("f", "old")
	b.Write("keep", "k")
	l.Equal(a, b)
	b.Stop()
	old := filepath.Join(l.Dir, "backup")
	state := filepath.Join(b.Home, "state")
	l.Must("cp", "-a", state, old)
	b.Up()
	b.Write("f", "newer")
	b.Write("g", "unknown to the backup")
	l.Equal(a, b)
	b.Stop()
	b.OK(os.RemoveAll(state))
	l.Must("cp", "-a", old, state)
	b.Up()
	b.Write("h", "after the restore")
	a.Write("i", "the other way")
	l.Equal(a, b)
	a.Want("h", "after the restore")
	b.Want("i", "the other way")
	b.Want("f", "newer")
	a.Want("g", "unknown to the backup")
	a.WantConflicts(0)
	told(l, b, 5*time.Second, "restored from a backup")
}

// TestStateRolledBackInTheSameRun: a state is put back that was copied while the node ran, and which no later run has used. The marks of a
// run agree, the folder alone knows that the log was longer. What b says again, alone, is no edit: a's deletion of it stands.
func TestStateRolledBackInTheSameRun(t *testing.T) {
	l, a, b := two(t)
	b.Write("f", "old")
	l.Equal(a, b)
	old, state := filepath.Join(l.Dir, "backup"), filepath.Join(b.Home, "state")
	b.Signal(syscall.SIGSTOP)
	l.Must("cp", "-a", state, old)
	b.Signal(syscall.SIGCONT)
	b.Write("f", "newer")
	l.Equal(a, b)
	b.Kill()
	a.Stop()
	l.Must("rsync", "-a", "--delete", "--inplace", "--checksum", old+"/", state+"/")
	a.OK(os.Remove(a.Path("f")))
	b.Up()
	told(l, b, 5*time.Second, "restored from a backup")
	b.Write("h", "made since")
	l.Until(90*time.Second, "b publishes alone", func() error {
		if r := b.Try("log", "h"); r.Code != 0 {
			return errors.New(r.Err)
		}
		return nil
	})
	a.Up()
	l.Equal(a, b)
	a.Want("h", "made since")
	a.Want("f", "<absent>")
	b.Want("f", "<absent>")
	a.WantConflicts(0)
}

// A roll-back that leaves no trace on this machine is found out by the members.
func TestStateRolledBackInPlace(t *testing.T) {
	l, a, b := two(t)
	b.Write("f", "old")
	l.Equal(a, b)
	b.Stop()
	old := filepath.Join(l.Dir, "backup")
	l.Must("cp", "-a", filepath.Join(b.Home, "state"), old)
	marks := filepath.Join(l.Dir, "marks")
	l.Must("rsync", "-a", b.Path(".meerkat/pool"), b.Path(".meerkat/log"), marks+"/")
	b.Up()
	for i := range 5 {
		b.Write("f", fmt.Sprintf("newer %d", i))
		b.Cli("scan")
	}
	l.Equal(a, b)
	b.Stop()
	a.Stop()
	l.Must("rsync", "-a", "--delete", "--inplace", "--checksum", old+"/", filepath.Join(b.Home, "state")+"/")
	l.Must("rsync", "-a", "--checksum", marks+"/", b.Path(".meerkat")+"/")
	b.Up() // alone, and with nothing to doubt
	b.Write("f", "on a forked branch")
	b.Cli("scan")
	a.Up()
	l.Equal(a, b)
	b.Write("h", "after")
	a.Write("i", "the other way")
	l.Equal(a, b)
	told(l, b, 60*time.Second, "identity")
	var all []string
	for p := range lab.Snapshot(t, a.Dir) {
		all = append(all, a.Read(p))
	}
	if got := strings.Join(all, "\n"); !strings.Contains(got, "newer 4") || !strings.Contains(got, "on a forked branch") {
		t.Errorf("a value is lost:\n%s", got)
	}
}

func TestO_LG_3_TwoMachinesOfOneHome(t *testing.T) {
	l, a, b, c := three(t)
	c.Write("f", "x")
	l.Equal(a, b, c)
	c.Stop()
	d := l.AddHost("d")
	for _, dir := range []string{d.Home, d.Dir} {
		d.OK(os.RemoveAll(dir))
	}
	l.Must("cp", "-a", c.Home, d.Home)
	l.Must("cp", "-a", c.Dir, d.Dir)
	text, err := os.ReadFile(filepath.Join(d.Home, "config.toml"))
	d.OK(err)
	d.OK(os.WriteFile(filepath.Join(d.Home, "config.toml"), []byte(strings.ReplaceAll(string(text), c.Dir, d.Dir)), 0o600))
	start := time.Now()
	c.Up()
	d.Up()
	told(l, c, 60*time.Second, "identity")
	told(l, d, 60*time.Second, "copied or restored")
	t.Logf("both know after %v", time.Since(start))
	for i := range 5 {
		c.Write(fmt.Sprintf("c%d", i), "by c")
		d.Write(fmt.Sprintf("d%d", i), "by d")
		time.Sleep(300 * time.Millisecond)
	}
	l.Until(90*time.Second, "both histories everywhere", func() error {
		for _, h := range []*lab.Host{a, b, c, d} {
			for i := range 5 {
				if h.Read(fmt.Sprintf("c%d", i)) != "by c" || h.Read(fmt.Sprintf("d%d", i)) != "by d" {
					return fmt.Errorf("%s lacks files of round %d", h.Name, i)
				}
			}
		}
		return nil
	})
	a.WantConflicts(0)
}
