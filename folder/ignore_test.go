package folder_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func rules(lines ...string) folder.IgnoreSource {
	return folder.IgnoreSource{Name: folder.IgnoreFile, Data: []byte(strings.Join(lines, "\n"))}
}

func TestIgnoreRules(t *testing.T) {
	tests := map[string]struct {
		lines   []string
		ignored []string // a trailing slash says directory
		kept    []string
	}{
		"a name without a slash matches at any depth": {
			[]string{"*.o"}, []string{"a.o", "x/a.o", "x/y.o/", ".o"}, []string{"a.c", "o", "a.o.c"},
		},
		"a slash ties to the root": {
			[]string{"/build", "doc/out"}, []string{"build", "build/x", "doc/out", "doc/out/y"}, []string{"x/build", "x/doc/out"},
		},
		"a slash at the end is for directories": {
			[]string{"tmp/"}, []string{"tmp/", "x/tmp/", "tmp/f"}, []string{"tmp", "x/tmp"},
		},
		"an exclamation mark brings back": {
			[]string{"*.log", "!keep.log"}, []string{"a.log"}, []string{"keep.log", "x/keep.log"},
		},
		"nothing comes back from an ignored directory": {
			[]string{"lib/", "!lib/keep"}, []string{"lib/", "lib/keep"}, nil,
		},
		"a directory's content can be ignored but for some of it": {
			[]string{"lib/*", "!lib/keep"}, []string{"lib/x"}, []string{"lib/", "lib/keep"},
		},
		"two stars cross slashes between slashes alone": {
			[]string{"**/x", "a/**/b", "c/**", "d**e/f"},
			[]string{"x", "p/q/x", "a/b", "a/p/b", "a/p/q/b", "c/p", "c/p/q", "de/f", "dxe/f"},
			[]string{"c", "ab", "a/bc", "dx/e/f"},
		},
		"one star and a question mark stay within a component": {
			[]string{"a/*/c", "q?z/r"}, []string{"a/b/c", "qxz/r"}, []string{"a/b/b/c", "a/c", "qz/r", "q/z/r"},
		},
		"classes": {
			[]string{"[a-c]1", "[!x]2", "[]]3", "[[:digit:]]4", "[\\]]5", "[a-]6"},
			[]string{"a1", "c1", "y2", "]3", "74", "]5", "a6", "-6"},
			[]string{"d1", "x2", "a3", "a4", "\\5", "b6"},
		},
		"escapes": {
			[]string{`\#a`, `\!b`, `\*`, `c\ `, "d ", `e\\`}, []string{"#a", "!b", "*", "c ", "d", `e\`}, []string{"x", "c", "d ", "e"},
		},
		"comments, empty lines, CRLF and BOM": {
			[]string{"\xef\xbb\xbfa\r", "# b\r", "\r", "", "c"}, []string{"a", "c"}, []string{"# b", "b", "\r"},
		},
		"names are bytes": {
			[]string{"\xff*", "é"}, []string{"\xff\xfe", "é"}, []string{"e\u0301"},
		},
		"the last line that matches decides": {
			[]string{"!a", "a", "b", "!b", "b"}, []string{"a", "b"}, nil,
		},
		"the node's own": {
			nil, []string{".meerkat/", ".meerkat/tmp/x", ".meerkatignore.local"}, []string{".meerkatignore", "a/.meerkat/", "a/.meerkatignore.local"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, bad := folder.CompileIgnore(rules(tt.lines...))
			if len(bad) > 0 {
				t.Errorf("problems with %q: %v", tt.lines, bad)
			}
			for want, paths := range map[bool][]string{true: tt.ignored, false: tt.kept} {
				for _, s := range paths {
					p, dir := strings.CutSuffix(s, "/")
					if got, r := g.Match(event.Path(p), dir); got != want {
						t.Errorf("Match(%q, %v) = %v by %+v, want %v", p, dir, got, r, want)
					}
				}
			}
		})
	}
}

func TestIgnoreSaysWhichRule(t *testing.T) {
	g, _ := folder.CompileIgnore(rules("# head", "*.o", "", "!keep.o"),
		folder.IgnoreSource{Name: folder.IgnoreFileLocal, Data: []byte("keep.o\nout/\n")})
	for path, want := range map[string]folder.Rule{
		"a.o":    {File: folder.IgnoreFile, Line: 2, Pattern: "*.o"},
		"keep.o": {File: folder.IgnoreFileLocal, Line: 1, Pattern: "keep.o"},
		"out/f":  {File: folder.IgnoreFileLocal, Line: 2, Pattern: "out/"},
		"x":      {},
	} {
		if _, got := g.Match(event.Path(path), false); got != want {
			t.Errorf("rule for %q = %+v, want %+v", path, got, want)
		}
	}
}

func TestBadIgnoreLinesAreReported(t *testing.T) {
	g, bad := folder.CompileIgnore(rules("good", "a[b", "x\\", "[[:nonsense:]]", "nul\x00", "/", "!", strings.Repeat("y", 5000), "*.bak"))
	if len(bad) != 7 {
		t.Errorf("%d problems, want 7: %v", len(bad), bad)
	}
	for i, p := range bad {
		if want := fmt.Sprintf("line %d,", i+2); p.Code != folder.CodeIgnoreRule || !strings.Contains(p.Message, want) {
			t.Errorf("problem %d is %+v, want %s with %q", i, p, folder.CodeIgnoreRule, want)
		}
	}
	for _, p := range []event.Path{"good", "x.bak"} {
		if got, _ := g.Match(p, false); !got {
			t.Errorf("%q is not ignored: a bad line took a good one with it", p)
		}
	}
}

// Patterns that make a matcher which tries every split take longer than the universe has left.
func TestHostilePatternsAreBounded(t *testing.T) {
	var lines []string
	for i := range 2000 {
		lines = append(lines, fmt.Sprintf("lit%d", i), fmt.Sprintf("*.ext%d", i), fmt.Sprintf("/p%d/q", i), fmt.Sprintf("g%d*x", i), fmt.Sprintf("d%d/", i))
	}
	lines = append(lines, strings.Repeat("**/", 500)+"z", strings.Repeat("a*", 100)+"z", strings.Repeat("**/a*", 60)+"/z", strings.Repeat("*a", 120)+"/**/z")
	g, bad := folder.CompileIgnore(rules(lines...))
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	long := event.Path(strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 200)+"/", 19), "/"))
	start := time.Now()
	for range 20 {
		if got, r := g.Match(long, false); got {
			t.Fatalf("matched by %+v", r)
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("20 paths took %v", d)
	}
}

func TestIgnoreFileBeyondTheLimitKeepsItsHead(t *testing.T) {
	big := append([]byte("first\n"), bytes.Repeat([]byte("filler\n"), 200_000)...)
	g, bad := folder.CompileIgnore(folder.IgnoreSource{Name: "f", Data: append(big, "last\n"...)})
	if len(bad) != 1 {
		t.Errorf("problems: %v, want one", bad)
	}
	first, _ := g.Match("first", false)
	last, _ := g.Match("last", false)
	if !first || last {
		t.Errorf("first ignored %v, last ignored %v; want true, false", first, last)
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add([]byte("*.o\n!a/**/b\n[a-z]/\n\\#x"), "a/x/b", false)
	f.Add([]byte("**/**/**/a*a*a*b\r\n[[:alpha:]-]"), "aaaaaaa/aaaa", true)
	f.Add([]byte("[a\n\\\n[[:x:]]\n\xef\xbb\xbf!"), "\xff", false)
	f.Fuzz(func(t *testing.T, data []byte, path string, dir bool) {
		if len(data) > 1<<12 || len(path) > 1<<10 {
			return
		}
		p, err := event.ParsePath([]byte(path))
		if err != nil {
			return
		}
		g, bad := folder.CompileIgnore(folder.IgnoreSource{Name: "f", Data: data})
		for _, b := range bad {
			if b.Code != folder.CodeIgnoreRule || b.Message == "" {
				t.Errorf("problem %+v says nothing", b)
			}
		}
		ignored, r := g.Match(p, dir)
		if ignored && strings.HasPrefix(r.Pattern, "!") {
			t.Errorf("%q is ignored by %+v", p, r)
		}
		if ignored {
			if below, _ := g.Match(p.Join("x"), false); dir && !below {
				t.Errorf("%q is ignored, %q is not", p, p.Join("x"))
			}
		}
	})
}
