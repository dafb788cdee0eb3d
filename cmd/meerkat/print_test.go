package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bwaklog/meerkat/node"
	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain names stay", "Grüße, 世界 😀.txt", "Grüße, 世界 😀.txt"},
		{"escape sequences", "a\x1b[2Jb", `a\x1b[2Jb`},
		{"line breaks", "a\nb\rc\td", `a\nb\x0dc\td`},
		{"C1 controls", "a\u009bb", `a\u009bb`},
		{"text turned around", "a\u202egpj.exe", `a\u202egpj.exe`},
		{"zero width", "a\u200bb", `a\u200bb`},
		{"not UTF-8", "a\xffb", `a\xffb`},
		{"a real U+FFFD", "a\ufffdb", "a\ufffdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := clean(c.in); got != c.want {
				t.Errorf("clean(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\xff\u202e\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("clean(%q) = %q, which a terminal could obey", s, got)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		line string
		wide int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc\x1b[0m"},
		{"\x1b[31mäbc\x1b[0m", 3, "\x1b[31mäbc\x1b[0m"},
		{"\x1b[31mäbcd\x1b[0m", 3, "\x1b[31mäbc\x1b[0m"},
		{"", 3, ""},
		{"世界", 3, "世\x1b[0m"},
	} {
		if got := cut(c.line, c.wide); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.line, c.wide, got, c.want)
		}
	}
}

func TestMoment(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Time
		ok   bool
	}{
		{"", time.Time{}, true},
		{"24h", noon.Add(-24 * time.Hour), true},
		{"2026-11-01T10:00:00Z", time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC), true},
		{"2026-11-01", time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local), true},
		{"-3h", time.Time{}, false},
		{"yesterday", time.Time{}, false},
	} {
		got, err := moment(c.in, noon)
		if (err == nil) != c.ok || !got.Equal(c.want) {
			t.Errorf("moment(%q) = %v, %v; want %v, ok %v", c.in, got, err, c.want, c.ok)
		}
	}
}

func TestPercentNeverExceedsHundred(t *testing.T) {
	for _, c := range []struct {
		p    node.Progress
		want int64
	}{
		{node.Progress{DoneBytes: 1, TotalBytes: 3}, 33},
		{node.Progress{DoneBytes: 5, TotalBytes: 3}, 100},
		{node.Progress{DoneFiles: 1, TotalFiles: 4}, 25},
		{node.Progress{DoneFiles: 1}, 0},
		{node.Progress{DoneBytes: 1 << 62, TotalBytes: 1<<63 - 1}, 50},
	} {
		if got := percent(c.p); got != c.want {
			t.Errorf("percent(%+v) = %d, want %d", c.p, got, c.want)
		}
	}
}

func TestWithin(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	all := []node.PoolInfo{{ID: "1", Path: "/a"}, {ID: "2", Path: "/a/b"}, {ID: "3", Path: real}}
	type found struct {
		ID, Rel string
		OK      bool
	}
	for _, c := range []struct {
		arg  string
		want found
	}{
		{"/a/x/y", found{"1", "x/y", true}},
		{"/a", found{"1", "", true}},
		{"/a/b/c", found{"2", "c", true}},
		{"/ab", found{}},
		{"/a/../b", found{}},
		{link + "/f", found{"3", "f", true}},
		{real + "/..f", found{"3", "..f", true}},
	} {
		p, rel, ok := within(all, c.arg)
		if diff := cmp.Diff(c.want, found{p.ID, rel, ok}); diff != "" {
			t.Errorf("within(%q) (-want +got):\n%s", c.arg, diff)
		}
	}
}

// TestBarsLetLinesPass draws bars to a buffer and looks for what was written between.
func TestBarsLetLinesPass(t *testing.T) {
	var out bytes.Buffer
	b := &bars{out: &out}
	status := func(p *node.Progress) node.Status {
		return node.Status{Pools: []node.PoolStatus{{ID: "1", Name: "home", Progress: p}}}
	}
	b.Write([]byte("before\n"))
	b.show(status(&node.Progress{Kind: "fetch", DoneBytes: 1, TotalBytes: 10}))
	b.Write([]byte("between\n"))
	b.show(status(&node.Progress{Kind: "fetch", DoneBytes: 10, TotalBytes: 10}))
	b.show(status(nil))
	b.Write([]byte("after\n"))
	b.show(status(&node.Progress{Kind: "index", DoneFiles: 1}))
	b.close()
	b.close()
	for _, want := range []string{"before\n", "between\n", "after\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
}

// Columns stand below their heads whatever the colours, and whatever a name is
// written in.
func TestTableColumns(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdio: stdio{out: &out}, wide: true, colour: true}
	err := a.table([]string{"NAME", "HAS IT", "SEEN"}, [][]string{
		{"ana", a.paint(green, "has it"), "online"},
		{"世界", a.paint(yellow, "part of it"), "never"},
		{"a longer name", "unknown", ""},
	})
	want := "NAME           HAS IT      SEEN\n" +
		"ana            has it      online\n" +
		"世界           part of it  never\n" +
		"a longer name  unknown\n"
	if got := colours.ReplaceAllString(out.String(), ""); err != nil || got != want {
		t.Errorf("table, %v:\n%s\nwant\n%s", err, got, want)
	}
}
