package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestO_NM_1_OddNames(t *testing.T) {
	l, a, b := two(t)
	names := []string{"new\nline", "bell\x01", "quo\"te'", strings.Repeat("n", 255), "-rf", "dot.", " space ", "per%cent", "back\\slash", "*?[x]", "~", "#hash"}
	for _, n := range names {
		a.Put(n, "content of "+n)
	}
	a.OK(os.MkdirAll(a.Path("-d/\x7f"), 0o755))
	l.Equal(a, b)
	for _, n := range names {
		b.Want(n, "content of "+n)
	}
}

func TestO_NM_2_LongNameInConflict(t *testing.T) {
	l, a, b := two(t)
	name := strings.Repeat("ü", 123) + ".txt"
	a.Put(name, "base")
	l.Equal(a, b)
	apart(l, func() {
		a.Write(name, "a")
		b.Write(name, "b")
	})
	l.Equal(a, b)
	c := a.WantConflicts(1)[0]
	if len(c) > 255 || !utf8.ValidString(c) || !strings.HasSuffix(c, ".txt") {
		t.Errorf("the copy is called %q (%d bytes)", c, len(c))
	}
}

func TestO_NM_3_NamesAreBytes(t *testing.T) {
	l, a, b := two(t)
	names := []string{"\xff\xfe", "e\u0301", "\u00e9"}
	for _, n := range names {
		a.Put(n, n)
	}
	l.Equal(a, b)
	for _, n := range names {
		b.Want(n, n)
	}
}

func TestO_TY_1_Symlinks(t *testing.T) {
	l, a, b := two(t)
	a.Put("dir/f", "x")
	a.OK(os.Symlink("dir", a.Path("to-dir")))
	a.OK(os.Symlink("/etc", a.Path("to-etc")))
	a.OK(os.Symlink("nowhere", a.Path("broken")))
	a.OK(os.Symlink(".", a.Path("loop")))
	l.Equal(a, b)
	for name, target := range map[string]string{"to-dir": "dir", "to-etc": "/etc", "broken": "nowhere", "loop": "."} {
		if got, err := os.Readlink(b.Path(name)); err != nil || got != target {
			t.Errorf("%s -> %q, %v; want %q", name, got, err, target)
		}
	}
	a.OK(os.Remove(a.Path("to-dir")))
	a.Put("to-dir", "a file now")
	l.Equal(a, b)
	b.Want("to-dir", "a file now")
	a.OK(os.Remove(a.Path("to-dir")))
	a.OK(os.MkdirAll(a.Path("to-dir/sub"), 0o755))
	l.Equal(a, b)
}

func TestO_TY_2_SpecialFiles(t *testing.T) {
	l, a, b := two(t)
	a.OK(syscall.Mkfifo(a.Path("pipe"), 0o600))
	s, err := net.Listen("unix", a.Path("sock"))
	a.OK(err)
	defer s.Close()
	a.Put("f", "x")
	l.Until(30*time.Second, "f on b", func() error {
		if b.Read("f") != "x" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if b.Exists("pipe") || b.Exists("sock") {
		t.Error("special files were synced")
	}
	a.Cli("scan")
	told := map[string]bool{}
	for _, p := range a.Status().Pools[0].Problems {
		told[p.Path] = true
	}
	if !told["pipe"] || !told["sock"] {
		t.Errorf("reported: %v, want pipe and sock", told)
	}
}

func TestO_TY_3_HardLinks(t *testing.T) {
	l, a, b := two(t)
	a.Put("one", "same")
	a.OK(os.MkdirAll(a.Path("d"), 0o755))
	a.OK(os.Link(a.Path("one"), a.Path("two")))
	a.OK(os.Link(a.Path("one"), a.Path("d/three")))
	l.Equal(a, b)
	a.Put("two", "changed in place: all names show it")
	l.Equal(a, b)
	b.Want("d/three", "changed in place: all names show it")
	a.OK(os.Chmod(a.Path("d/three"), 0o600))
	l.Equal(a, b)
	a.Write("two", "changed")
	l.Equal(a, b)
	b.Want("one", "changed in place: all names show it")
	b.Want("two", "changed")
	a.WantConflicts(0)
}

func TestO_TY_4_Unreadable(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	for _, h := range l.Hosts {
		h.Unprivileged()
	}
	l.Pool(a, b)
	a.Put("secret", "s")
	a.Put("d/f", "x")
	l.Must("chown", "-R", "nobody", a.Dir)
	l.Equal(a, b)
	a.OK(os.Chmod(a.Path("secret"), 0))
	b.OK(os.Chmod(b.Path("d"), 0o555))
	a.Put("other", "o")
	l.Must("chown", "-R", "nobody", a.Dir)
	l.Until(30*time.Second, "the rest goes on", func() error {
		if b.Read("other") != "o" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	b.Want("secret", "s")
	a.OK(os.Chmod(a.Path("secret"), 0o600))
	a.OK(os.Chmod(a.Path("d"), 0o755))
	a.Put("d/g", "y")
	l.Must("chown", "-R", "nobody", a.Dir)
	l.Equal(a, b)
	b.Want("d/g", "y")
}

func TestO_IG_1_IgnoredStays(t *testing.T) {
	l, a, b := two(t)
	a.Put(".meerkatignore", "*.o\n")
	a.Put("src/main.c", "int main;")
	l.Equal(a, b)
	a.Put("src/main.o", "object")
	a.Put("src/x.c", "x")
	l.Until(30*time.Second, "x.c on b", func() error {
		if !b.Exists("src/x.c") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if b.Exists("src/main.o") {
		t.Error("an ignored file was sent")
	}
	b.OK(os.RemoveAll(b.Path("src")))
	l.Until(30*time.Second, "deleted on a", func() error {
		if a.Exists("src/main.c") || a.Exists("src/x.c") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	a.Want("src/main.o", "object")
	a.Cli("scan")
	l.Converged(30*time.Second, a, b)
	if b.Exists("src") {
		t.Error("src is back on b")
	}
}

func TestO_IG_2_UnignoringMerges(t *testing.T) {
	l, a, b := two(t)
	a.Put("d/f", "base")
	l.Equal(a, b)
	for _, h := range l.Hosts {
		h.Put(".meerkatignore.local", "/d/\n")
		h.Cli("scan")
	}
	a.Put("d/f", "a's")
	b.Put("d/f", "b's")
	for _, h := range l.Hosts {
		h.Cli("scan")
		h.OK(os.Remove(h.Path(".meerkatignore.local")))
	}
	for _, h := range l.Hosts {
		h.Cli("scan")
	}
	l.Equal(a, b)
	c := a.WantConflicts(1)
	both := a.Read("d/f") + "|" + a.Read(c[0])
	if both != "a's|b's" && both != "b's|a's" {
		t.Errorf("kept %q", both)
	}
}

func TestO_IG_3_HostilePatterns(t *testing.T) {
	l, a, b := two(t)
	var s strings.Builder
	s.WriteString("**/**/**/**/**/x*y*z*\r\n[bad\r\n*.tmp\r\n")
	for i := range 10_000 {
		fmt.Fprintf(&s, "pattern%d/**/*.x\n", i)
	}
	a.Put(".meerkatignore", s.String())
	a.Put("deep/a/b/c/d/e/f/g/xxxyyyzzz", "ignored by the first rule")
	a.Put("plain", "p")
	a.Put("x.tmp", "t")
	l.Until(30*time.Second, "plain on b", func() error {
		if b.Read("plain") != "p" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	l.Converged(30*time.Second, a, b)
	if b.Exists("x.tmp") || b.Exists("deep/a/b/c/d/e/f/g/xxxyyyzzz") {
		t.Error("ignored files were sent")
	}
	if n := len(a.Status().Pools[0].Problems); n == 0 {
		t.Error("the bad line is not reported")
	}
}

func TestO_ED_1_Editors(t *testing.T) {
	l, a, b := two(t)
	a.Put("doc", "v0")
	l.Equal(a, b)
	for i := range 5 {
		text := fmt.Sprintf("emacs %d", i)
		a.OK(os.Symlink("user@host.123", a.Path(".#doc")))
		a.OK(os.Rename(a.Path("doc"), a.Path("doc~")))
		a.Put("doc", text)
		a.OK(os.Remove(a.Path(".#doc")))
		a.Put(".goutputstream-X1", "gedit")
		a.OK(os.Rename(a.Path(".goutputstream-X1"), a.Path("doc")))
		a.Put(".doc.swp", "vim's swap")
		a.Put("4913", "")
		a.OK(os.Remove(a.Path("4913")))
		a.OK(os.Rename(a.Path("doc"), a.Path("doc~")))
		a.Put("doc", "vim "+text)
		a.OK(os.Remove(a.Path(".doc.swp")))
	}
	l.Equal(a, b)
	b.Want("doc", "vim emacs 4")
	b.WantConflicts(0)
}

func TestO_ED_2_Git(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	l, a, b := two(t)
	repo := a.Path("repo")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=x", "-c", "user.email=x@x", "-c", "gc.auto=0"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	a.OK(os.MkdirAll(repo, 0o755))
	git("init", "-q")
	for i := range 150 {
		a.Put(fmt.Sprintf("repo/f%d", i%20), fmt.Sprintf("commit %d", i))
		git("add", "-A")
		git("commit", "-q", "-m", fmt.Sprint(i))
	}
	git("gc", "-q")
	l.Equal(a, b)
	out, err := exec.Command("git", "-C", b.Path("repo"), "-c", "safe.directory=*", "fsck", "--strict").CombinedOutput()
	if err != nil {
		t.Errorf("git fsck on b: %v: %s", err, out)
	}
	b.WantConflicts(0)
}

func TestO_ED_3_Sqlite(t *testing.T) {
	py, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 (for its sqlite3) is not installed")
	}
	l, a, b := two(t)
	script := `
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1]); c.execute("pragma journal_mode=wal"); c.execute("create table if not exists t(x)")
for i in range(300):
    c.execute("insert into t values(?)", ("row %d" % i * 50,)); c.commit(); time.sleep(0.005)
c.close()`
	if out, err := exec.Command(py, "-c", script, a.Path("app.db")).CombinedOutput(); err != nil {
		t.Fatalf("sqlite: %v: %s", err, out)
	}
	l.Equal(a, b)
	check := `import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute("pragma integrity_check").fetchone()[0], c.execute("select count(*) from t").fetchone()[0])`
	out, err := exec.Command(py, "-c", check, b.Path("app.db")).CombinedOutput()
	if err != nil || string(out) != "ok 300\n" {
		t.Errorf("on b: %s %v", out, err)
	}
}

func TestO_ED_4_NodeModules(t *testing.T) {
	l, a, b := two(t)
	make20k := func() {
		for i := range 20_000 {
			a.Put(fmt.Sprintf("node_modules/p%d/lib%d/f%d.js", i%400, i%5, i), fmt.Sprintf("module %d", i))
		}
	}
	start := time.Now()
	make20k()
	l.EqualWithin(2*time.Minute, a, b)
	a.OK(os.RemoveAll(a.Path("node_modules")))
	l.EqualWithin(2*time.Minute, a, b)
	make20k()
	l.EqualWithin(2*time.Minute, a, b)
	t.Logf("made, removed and made again: %v", time.Since(start))
}
