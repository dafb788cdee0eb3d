package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// board is a machine whose only disk is a file, so that its power can be cut.
type board struct {
	*lab.Host
	l           *lab.Lab
	image, disk string
	boots       int
}

// newBoard puts home and folder of h on an ext4 of its own.
func newBoard(l *lab.Lab, h *lab.Host) *board {
	l.T.Helper()
	p := &board{Host: h, l: l, image: filepath.Join(l.Dir, h.Name+"-image"), disk: filepath.Join(l.Dir, h.Name+"-disk")}
	h.OK(os.WriteFile(p.image, nil, 0o600))
	h.OK(os.Truncate(p.image, 256<<20))
	h.OK(os.Mkdir(p.disk, 0o755))
	l.Must("mkfs.ext4", "-q", "-F", p.image)
	l.Must("mount", "-o", "loop", p.image, p.disk)
	l.T.Cleanup(func() { h.Kill(); l.Run("umount", "-l", p.disk) })
	h.Home, h.Dir = filepath.Join(p.disk, "home"), filepath.Join(p.disk, "Sync")
	h.OK(os.MkdirAll(h.Dir, 0o755))
	p.boot()
	return p
}

// boot has the node see another boot than before.
func (p *board) boot() {
	p.boots++
	id := filepath.Join(p.l.Dir, p.Name+"-boot-id")
	p.OK(os.WriteFile(id, fmt.Appendf(nil, "boot-%d\n", p.boots), 0o644))
	p.Wrap = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`, id}
}

// cut takes the power and gives it back.
func (p *board) cut() {
	powerCut(p.l.T.(*testing.T), p.disk)
	p.Kill()
	p.l.Must("umount", p.disk)
	p.l.Must("mount", "-o", "loop", p.image, p.disk)
	p.boot()
}

// TestPowerCutAtTheSaver: what was announced and had not reached the saver's own disk when power failed comes back from
// the others; neither damaged files nor missing ones nor undone deletions are told to anybody.
func TestPowerCutAtTheSaver(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := newBoard(l, l.Hosts[0]), l.Hosts[1]
	l.Pool(a.Host, b)
	a.Put("kept", "untouched")
	for i := range 4 {
		a.Put(fmt.Sprintf("old-%d", i), "first version")
		a.Put(fmt.Sprintf("gone-%d", i), "to be deleted")
		a.Put(fmt.Sprintf("from-%d", i), fmt.Sprintf("renamed %d", i))
	}
	l.Equal(a.Host, b)
	l.Until(60*time.Second, "the node knows that all is on the disk", func() error {
		if !strings.Contains(l.Logs(), "have reached the disk") {
			return errors.New("nothing in its log")
		}
		return nil
	})
	for round := range 3 {
		for i := range 4 {
			a.Put(fmt.Sprintf("old-%d", i), fmt.Sprintf("version of round %d, %d", round, i))          // in place
			a.Put(fmt.Sprintf("d%d/new-%d", round, i), string(lab.Noise(uint64(8*round+i), 40_000*i))) // not there before
			a.Write(fmt.Sprintf("again-%d", i), fmt.Sprintf("renamed into place, %d", round))
		}
		if round == 0 {
			for i := range 4 {
				a.OK(os.Remove(a.Path(fmt.Sprintf("gone-%d", i))))
				a.OK(os.Rename(a.Path(fmt.Sprintf("from-%d", i)), a.Path(fmt.Sprintf("to-%d", i))))
			}
		}
		l.Equal(a.Host, b)
		want := lab.Snapshot(t, b.Dir)
		a.cut()
		if diff := lab.Compare(want, lab.Snapshot(t, a.Dir)); diff == "" {
			t.Errorf("round %d: the power cut did no harm", round)
		} else {
			t.Logf("round %d: power cut left\n%.600s", round, diff)
		}
		a.Up()
		a.Cli("wait", "--timeout", "60s")
		if diff := lab.Compare(want, lab.Snapshot(t, b.Dir)); diff != "" {
			t.Fatalf("round %d: b was told of damage:\n%s\n%s", round, diff, l.Logs())
		}
		if diff := lab.Compare(want, lab.Snapshot(t, a.Dir)); diff != "" {
			t.Fatalf("round %d: a is not as it was:\n%s\n%s", round, diff, l.Logs())
		}
	}
	told(l, a.Host, 5*time.Second, "power failed")
	a.WantConflicts(0)

	a.cut()
	a.Put("old-0", "a person's edit before the node is started")
	a.OK(os.Remove(a.Path("kept")))
	a.Up()
	a.Cli("wait", "--timeout", "60s")
	b.Want("old-0", "a person's edit before the node is started")
	b.Want("kept", "<absent>")
	a.WantConflicts(0)
}
