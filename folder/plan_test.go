package folder_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func TestPlanSources(t *testing.T) {
	have := func(a thing) folder.Have {
		return folder.Have{Value: a.value(t), Exists: true, Stat: folder.Stat{Ino: 1}}
	}
	one, two := file("one"), file("two")
	local := []folder.Local{{Place: folder.Place{Path: "other"}}}
	for _, c := range []struct {
		name  string
		wants []folder.Want
		want  string
	}{
		{"chmod", []folder.Want{{Path: "a", Have: have(one), Value: one.perm(0o600).value(t)}}, "a=1"},
		{"rename", []folder.Want{{Path: "a", Have: have(one)}, {Path: "b", Value: one.value(t)}}, "a=0 b=2"},
		{"taken once", []folder.Want{{Path: "a", Have: have(one)}, {Path: "b", Value: one.value(t)}, {Path: "c", Value: one.value(t)}}, "a=0 b=2 c=5"},
		{"rename with touch", []folder.Want{{Path: "a", Have: have(one)}, {Path: "b", Value: one.at(1).value(t)}}, "a=0 b=5"},
		{"local", []folder.Want{{Path: "b", Value: one.value(t), Local: local}}, "b=5"},
		{"fetched", []folder.Want{{Path: "b", Value: one.value(t), Local: local, Ready: folder.Fetched}}, "b=4"},
		{"nowhere", []folder.Want{{Path: "b", Value: one.value(t), Have: have(two)}}, "b=6"},
		{"empty", []folder.Want{{Path: "b", Value: file("").value(t)}}, "b=0"},
	} {
		var got []string
		for _, s := range folder.Plan(c.wants) {
			got = append(got, string(s.Path)+"="+string('0'+rune(s.How)))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

func TestComparePaths(t *testing.T) {
	path := rapid.StringMatching(`[ab!.]{1,2}(/[ab!.]{1,2}){0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfDistinct(path, rapid.ID).Draw(t, "paths")
		slices.SortFunc(paths, func(a, b string) int { return folder.ComparePaths(event.Path(a), event.Path(b)) })
		for i, p := range paths {
			left := false
			for _, q := range paths[i+1:] {
				under := event.Path(q).Under(event.Path(p))
				if left && under {
					t.Fatalf("%q is below %q and does not follow it at once: %q", q, p, paths)
				}
				left = left || !under
				if event.Path(p).Under(event.Path(q)) {
					t.Fatalf("%q comes before its directory %q", p, q)
				}
			}
		}
	})
}

// FuzzApplyPath lets anything be a step's path: nothing outside the folder or in .meerkat may come of it.
func FuzzApplyPath(f *testing.F) {
	for _, s := range []string{"a", "../a", "/a", "a/../../b", ".meerkat/tmp/x", "a\x00", "d/l/x", ".", "", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := newRig(t, tree{"d": dir(), "d/l": link("/"), "e": link("..")})
		marker := everything(t, r.root)
		v := file("evil").value(t)
		p := event.Path(s)
		_, bad := event.ParsePath([]byte(s))
		if err := r.f.Stage(p, v, chunksOf("evil")); (err != nil) != (bad != nil) {
			t.Fatalf("stage %q: %v, and the path: %v", s, err, bad)
		}
		out, err := r.f.Apply(t.Context(), []folder.Step{{Path: p, Want: v, How: folder.Staged}}, r.opts)
		ensure(t, err)
		if bad != nil && out[0].Result != folder.Blocked {
			t.Fatalf("%q: %s", s, results(out))
		}
		if out[0].Result == folder.Done && !strings.HasSuffix(everything(t, r.root)["evil"], "/"+s) {
			t.Fatalf("%q is done, and the file is at %s", s, everything(t, r.root)["evil"])
		}
		for text := range marker {
			if _, ok := everything(t, r.root)[text]; !ok {
				t.Fatalf("%q: %q is lost", s, text)
			}
		}
		r.checkTmp()
	})
}
