package folder_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func TestRecoverFates(t *testing.T) {
	old, now := file("old"), file("new!").at(7)
	for _, c := range []struct {
		name string
		disk tree // after the crash
		want folder.Fate
	}{
		{"the new file", tree{"a": now}, folder.Applied},
		{"torn", tree{"a": file("n\x00w!").at(7)}, folder.Damaged},
		{"empty", tree{"a": file("").at(7)}, folder.Damaged},
		{"the user's", tree{"a": file("mine").at(8)}, folder.Edited},
		{"gone", tree{}, folder.Edited},
		{"a directory", tree{"a": dir()}, folder.Edited},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, tree{"a": old})
			h := r.index["a"]
			ensure(t, os.Remove(filepath.Join(r.root, "a")))
			c.disk.build(t, r.root)
			got, err := r.f.Recover(t.Context(), []folder.Intent{{Path: "a", Old: h.Value, New: now.value(t), OldStat: h.Stat}})
			ensure(t, err)
			if got[0].Fate != c.want {
				t.Fatalf("fate %s, want %s", got[0].Fate, c.want)
			}
			noneLost(t, c.name, r.root, c.disk)
			if _, there, _ := r.f.Lstat("a"); there && c.want == folder.Damaged {
				t.Error("damage still stands at its path")
			}
		})
	}
}

func TestCleanTmp(t *testing.T) {
	r := newRig(t, tree{})
	b := []byte(text(1<<20, 5))
	m := cut(t, b)
	p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	ensure(t, p.Close())
	ensure(t, r.f.Stage("a", file("x").value(t), chunksOf("x")))
	ensure(t, os.WriteFile(filepath.Join(r.root, ".meerkat/tmp/keep-1"), []byte("displaced"), 0o600))
	wanted := func(id chunker.ID) bool { return id == m.Root() }

	n, _, err := r.f.CleanTmp(time.Now(), wanted)
	if n != 1 || err != nil {
		t.Errorf("cleaned %d (%v) at once, want 1", n, err)
	}
	n, _, err = r.f.CleanTmp(time.Now().Add(25*time.Hour), wanted)
	if n != 1 || err != nil {
		t.Errorf("cleaned %d (%v) a day later, want 1", n, err)
	}
	n, _, err = r.f.CleanTmp(time.Now().Add(25*time.Hour), func(chunker.ID) bool { return false })
	if n != 1 || err != nil {
		t.Errorf("cleaned %d (%v) when nothing is wanted, want 1", n, err)
	}
	r.checkTmp()
	noneLost(t, "clean", r.root, tree{"keep": file("displaced")})
}

func TestVersions(t *testing.T) {
	long := string(make([]byte, 0, 255))
	for range 240 {
		long += "ü"[:2]
		if len(long) >= 250 {
			break
		}
	}
	long += ".txt"
	r := newRig(t, tree{"a.txt": file("1"), "d": dir(), "d/b": file("2"), ".rc": file("3"), long: file("4"), "e~": file("5")})
	_, err := r.apply(tree{"a.txt": file("1b"), "d": dir()})
	ensure(t, err)
	r.scan(tree{"a.txt": file(""), "d/b": file(""), ".rc": file(""), long: file(""), "e~": file("")})
	_, err = r.apply(tree{})
	ensure(t, err)
	all, err := r.f.ListVersions("")
	ensure(t, err)
	of := make(map[event.Path]int)
	for _, v := range all {
		of[v.Of]++
		dst := make([]byte, v.Size())
		ensure(t, r.f.ReadChunk(v.Place(), v.Stat, 0, dst))
	}
	if of["a.txt"] != 2 || of["d/b"] != 1 || of[".rc"] != 1 || of["e~"] != 1 || len(all) != 6 {
		t.Errorf("versions of %v, %d in all", of, len(all))
	}
	if one, err := r.f.ListVersions("d"); err != nil || len(one) != 1 {
		t.Errorf("versions below d: %v, %v", one, err)
	}
	gone, err := r.f.Prune(time.Now(), time.Hour, 3)
	if len(gone) != 3 || err != nil {
		t.Errorf("pruned %d (%v) to 3 bytes, want 3", len(gone), err)
	}
	gone, err = r.f.Prune(time.Now().Add(2*time.Hour), time.Hour, 0)
	if len(gone) != 3 || err != nil {
		t.Errorf("pruned %d (%v) by age, want 3", len(gone), err)
	}
	left, err := os.ReadDir(filepath.Join(r.root, ".meerkat/versions"))
	if len(left) != 0 || err != nil {
		t.Errorf("left in versions: %v, %v", left, err)
	}
}
