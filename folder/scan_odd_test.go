//go:build unix

package folder_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/folder"
)

func TestRacyFileIsReadAgain(t *testing.T) {
	g := newGround(t)
	g.write("f", "old!")
	seen, _ := g.scan()
	if len(seen) != 1 || !seen[0].Racy {
		t.Fatalf("a file of this moment is not racy: %+v", seen)
	}
	g.learn(seen)
	// The same Stat with other bytes: the change fell into the granularity of the clock.
	k := g.rows["f"]
	k.Root = chunker.Sum([]byte("something else"))
	g.put("f", k)
	seen, _ = g.scan()
	wantSeen(t, seen, "f: file")
	k.Racy = false
	g.put("f", k)
	seen, _ = g.scan()
	wantSeen(t, seen)
}

func TestRacyEndsInSilence(t *testing.T) {
	g := newGround(t)
	g.write("f", "x")
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(g.path("f"), old, old))
	seen, _ := g.scan()
	g.learn(seen)
	seen, _ = g.scan() // the ctime is still young
	wantSeen(t, seen)
}

func TestUnreadableIsUnknown(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	g := newGround(t)
	g.write("d/f", "1")
	g.write("e/f", "1")
	g.write("h", "1")
	g.settle()
	must(t, os.Chmod(g.path("d"), 0))
	must(t, os.Chmod(g.path("e"), 0o444)) // names can be read, nothing else
	g.write("h", "22")
	must(t, os.Chmod(g.path("h"), 0))
	t.Cleanup(func() { _ = os.Chmod(g.path("d"), 0o755); _ = os.Chmod(g.path("e"), 0o755) })
	seen, problems := g.scan()
	wantSeen(t, seen, "d: dir", "e: dir")
	wantProblems(t, problems, "d: unreadable", "e/f: unreadable", "h: unreadable")
	_, problems = g.scan(folder.Dirty{Path: "d/f"}, folder.Dirty{Path: "h"})
	wantProblems(t, problems, "d/f: unreadable", "h: unreadable")
}

// asNobody runs this test in a process that is not root: root can read everything.
func asNobody(t *testing.T) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "folder.test")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("no /proc to run a test as another user: %v", err)
	}
	must(t, os.WriteFile(bin, self, 0o755))
	for dir := filepath.Dir(bin); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	work := filepath.Join(filepath.Dir(bin), "tmp")
	must(t, os.Mkdir(work, 0o777))
	must(t, os.Chmod(work, 0o777))
	p, err := os.StartProcess(bin, []string{bin, "-test.run", "^" + t.Name() + "$", "-test.v"}, &os.ProcAttr{
		Dir: work, Env: []string{"TMPDIR=" + work, "HOME=" + work}, Files: []*os.File{nil, os.Stderr, os.Stderr},
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
	})
	must(t, err)
	st, err := p.Wait()
	must(t, err)
	if !st.Success() {
		t.Errorf("as nobody: %v", st)
	}
}

func TestSpecialFilesAreNeverOpened(t *testing.T) {
	g := newGround(t)
	must(t, syscall.Mkfifo(g.path("fifo"), 0o600)) // opening it would block for ever
	g.write("x", "goes on")
	seen, problems := g.scan()
	wantSeen(t, seen, "x: file")
	wantProblems(t, problems, "fifo: special")
	seen, _ = g.scan(folder.Dirty{Path: "fifo"})
	wantSeen(t, seen)
}

func TestWhatASpecialFileReplacesIsGone(t *testing.T) {
	for name, dirty := range map[string][]folder.Dirty{"full scan": nil, "dirty paths": {{Path: "was"}, {Path: "dir"}}} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.write("was", "a file")
			g.write("dir/f", "1")
			g.settle()
			must(t, os.Remove(g.path("was")))
			must(t, os.RemoveAll(g.path("dir")))
			must(t, syscall.Mkfifo(g.path("was"), 0o600))
			must(t, syscall.Mkfifo(g.path("dir"), 0o600))
			seen, problems := g.scan(dirty...)
			wantSeen(t, seen, "was: gone", "dir: gone", "dir/f: gone")
			wantProblems(t, problems, "was: special", "dir: special")
			g.learn(seen)
			seen, problems = g.scan(dirty...)
			wantSeen(t, seen)
			wantProblems(t, problems, "was: special", "dir: special")
		})
	}
}

func TestNamesAreBytes(t *testing.T) {
	g := newGround(t)
	names := []string{"\xff\xfe", "e\u0301", "\u00e9", " ", "a\nb", "~", ".hidden", strings.Repeat("n", 255)}
	var want []string
	for _, n := range names {
		g.write(n, "")
		want = append(want, n+": file")
	}
	seen, problems := g.scan()
	wantSeen(t, seen, want...)
	wantProblems(t, problems)
}

func TestPathsBeyondTheLimitAreReported(t *testing.T) {
	g := newGround(t)
	fd, err := os.OpenRoot(g.dir)
	must(t, err)
	defer fd.Close()
	name := strings.Repeat("d", 200)
	depth := 0
	for at := fd; depth < 21; depth++ { // 21 × 201 is more than 4096
		must(t, at.Mkdir(name, 0o755))
		next, err := at.OpenRoot(name)
		must(t, err)
		defer next.Close()
		at = next
	}
	seen, problems := g.scan()
	if len(seen) != 20 || len(problems) != 1 || problems[0].Code != folder.CodeName {
		t.Errorf("%d seen, problems %v; want 20 and one of code name", len(seen), problems)
	}
}
