package folder_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func TestApplyKeepsIgnored(t *testing.T) {
	r := newRig(t, tree{"d": dir(), "d/a": file("one"), "d/e": dir(), "d/e/x.o": file("object"), "z": file("z")})
	delete(r.index, "d/e/x.o")
	ensure(t, syscall.Mkfifo(filepath.Join(r.root, "d/pipe"), 0o600))
	out, err := r.apply(tree{})
	ensure(t, err)
	want := map[event.Path]folder.Result{"d": folder.Kept, "d/a": folder.Done, "d/e": folder.Kept, "z": folder.Done}
	for _, o := range out {
		if o.Result != want[o.Path] {
			t.Errorf("%s: %s, want %s (%v)", o.Path, o.Result, want[o.Path], o.Problem)
		}
	}
	if lookAt(t, filepath.Join(r.root, "d/e/x.o")).text != "object" {
		t.Error("the ignored file changed")
	}
}

func TestApplyRevivesKept(t *testing.T) {
	r := newRig(t, tree{"d": dir(), "d/x.o": file("object")})
	r.index = map[event.Path]folder.Have{"d": {Exists: true}} // a deletion that was applied as far as it went
	out, err := r.apply(tree{"d": dir().perm(0o700), "d/new": file("n")})
	ensure(t, err)
	if got := results(out); got != "d=done d/new=done " {
		t.Errorf("outcomes %s", got)
	}
	same(t, "revived", look(t, r.root), tree{"d": dir().perm(0o700), "d/x.o": file("object"), "d/new": file("n")})
}

func TestApplyUnknown(t *testing.T) {
	r := newRig(t, tree{"d": dir(), "d/a": file("one")})
	tree{"d/unseen": file("mine"), "d/sub": dir(), "d/sub/deep": file("mine too")}.build(t, r.root)
	out, err := r.apply(tree{})
	ensure(t, err)
	for _, o := range out {
		if o.Path == "d" && (o.Result != folder.Waits || fmt.Sprint(o.Dirty) != "[d/sub/deep d/sub d/unseen]") &&
			fmt.Sprint(o.Dirty) != "[d/unseen d/sub/deep d/sub]" {
			t.Errorf("d: %s, dirty %v", o.Result, o.Dirty)
		}
	}
	same(t, "unknown", look(t, r.root), tree{"d": dir(), "d/unseen": file("mine"), "d/sub": dir(), "d/sub/deep": file("mine too")})
}

func TestApplyDoesNotFollowLinks(t *testing.T) {
	r := newRig(t, tree{"d": dir(), "in": dir(), "in/x": file("inside")})
	outside := t.TempDir()
	for _, to := range []string{outside, "in"} {
		ensure(t, os.RemoveAll(filepath.Join(r.root, "d")))
		ensure(t, os.Symlink(to, filepath.Join(r.root, "d")))
		out, err := r.apply(tree{"d": dir(), "d/x": file("evil"), "in": dir(), "in/x": file("inside")})
		ensure(t, err)
		if got := results(out); got != "d/x=waits (parent: its directory is not there yet) " {
			t.Errorf("outcome %s", got)
		}
	}
	if got := look(t, outside); len(got) > 0 {
		t.Errorf("outside: %v", got)
	}
	if lookAt(t, filepath.Join(r.root, "in/x")).text != "inside" {
		t.Error("written through a link inside the folder")
	}
}

func TestApplyRefusesNames(t *testing.T) {
	r := newRig(t, tree{})
	for _, p := range []event.Path{"../x", "/x", "a/../../x", "", ".meerkat/pool", "a//b", "a\x00b", "."} {
		steps := []folder.Step{{Path: p, Want: event.Value{Kind: event.Dir, Mode: 0o755}}}
		out, err := r.f.Apply(t.Context(), steps, r.opts)
		ensure(t, err)
		if out[0].Result != folder.Blocked || out[0].Problem.Code != folder.CodeName {
			t.Errorf("%q: %s", p, results(out))
		}
	}
	same(t, "names", look(t, r.root), tree{})
}

func TestApplyBlocked(t *testing.T) {
	codes := map[error]string{
		syscall.ENOSPC: folder.CodeDiskFull, syscall.EDQUOT: folder.CodeDiskFull, syscall.EROFS: folder.CodeReadOnly,
		syscall.EIO: folder.CodeIO, syscall.EMFILE: folder.CodeTooManyFiles, syscall.ENAMETOOLONG: folder.CodeName,
		syscall.EXDEV: folder.CodeDevice, syscall.EBUSY: folder.CodeFailed,
	}
	for errno, code := range codes {
		r := newRig(t, tree{"a": file("one"), "b": file("two")})
		r.fs.arm(func(c call) error {
			if c.verb == "exchange" && c.path == "a" {
				return errno
			}
			return nil
		})
		out, err := r.apply(tree{"a": file("three"), "b": file("four")})
		ensure(t, err)
		if out[0].Result != folder.Blocked || out[0].Problem.Code != code || out[0].Problem.Hint == "" || out[1].Result != folder.Done {
			t.Errorf("%v: %s, want %s", errno, results(out), code)
		}
		same(t, "blocked", look(t, r.root), tree{"a": file("one"), "b": file("four")})
	}
}

func TestApplyBeginStops(t *testing.T) {
	r := newRig(t, tree{"a": file("one")})
	stop := errors.New("no intents today")
	r.opts.Begin = func([]folder.Step) error { return stop }
	if _, err := r.apply(tree{"a": file("two"), "b": file("one")}); !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	same(t, "stopped", look(t, r.root), tree{"a": file("one")})
	r.checkTmp()
}

func TestApplyGuard(t *testing.T) {
	r := newRig(t, tree{"a": file("one")})
	ensure(t, os.Remove(filepath.Join(r.root, ".meerkat/pool")))
	_, err := r.apply(tree{})
	var g *folder.GuardError
	if !errors.As(err, &g) || g.Why != folder.WhyNoMarker {
		t.Errorf("error %v, want a guard for the marker", err)
	}
	same(t, "guarded", look(t, r.root), tree{"a": file("one")})
}
