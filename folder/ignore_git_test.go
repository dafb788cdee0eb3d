package folder_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// gitVerdicts is what git itself said of the rules below: go test ./folder -run TestIgnoreIsGits -ask-git writes it anew.
const gitVerdicts = "testdata/ignore/git.jsonl"

var askGit = flag.Bool("ask-git", false, "ask git anew, and write "+gitVerdicts)

// gitCase is a line of gitVerdicts: two ignore files, and the line that decides about each path of gitPaths: a letter for
// the line of its number (a, b, …) of shared, a capital for one of local, a dot for none.
type gitCase struct {
	Shared  []byte `json:"shared"`
	Local   []byte `json:"local,omitempty"`
	Decides string `json:"decides"`
}

// gitPaths are the paths that are asked about; a slash at the end says directory. Each depth has the same names.
func gitPaths() []string {
	names := []string{"f", "b.a", "]", "a b ", "é", "\xff", `\x`, "!a", "#a", "A", "a/", "b/", "ab/", "aab/", "[a]/", "é b/"}
	var all []string
	var grow func(dir string, depth int)
	grow = func(dir string, depth int) {
		for _, name := range names {
			all = append(all, dir+name)
			if strings.HasSuffix(name, "/") && depth > 0 {
				grow(dir+name, depth-1)
			}
		}
	}
	grow("", 1)
	deep := []string{"a/a/f", "a/a/a/", "a/a/a/f", "a/b/ab", "a/b/a/", "a/b/a/b", "b/a/f", "b/ab/b.a", "ab/a/b/", "ab/a/b/f", "ab/aab/f", "aab/b/f", "é b/a/é", "[a]/b/]"}
	return append(all, deep...)
}

// ours gives the answers of gitCase.Decides by this package.
func ours(c gitCase) string {
	g, _ := folder.CompileIgnore(folder.IgnoreSource{Name: folder.IgnoreFile, Data: c.Shared}, folder.IgnoreSource{Name: folder.IgnoreFileLocal, Data: c.Local})
	var b strings.Builder
	for _, p := range gitPaths() {
		_, r := g.Match(event.Path(strings.TrimSuffix(p, "/")), strings.HasSuffix(p, "/"))
		b.WriteByte(letter(r.File == folder.IgnoreFileLocal, r.Line))
	}
	return b.String()
}

func letter(local bool, line int) byte {
	switch {
	case line == 0:
		return '.'
	case local:
		return byte('A' + line - 1)
	}
	return byte('a' + line - 1)
}

// differences says where ours decides otherwise than c says that git does.
func differences(t *testing.T, c gitCase) {
	t.Helper()
	got := ours(c)
	for i, p := range gitPaths() {
		if got[i] != c.Decides[i] {
			t.Errorf("rules %q and local %q, path %q: line %c decides, in git %c", c.Shared, c.Local, p, got[i], c.Decides[i])
			return
		}
	}
}

// TestIgnoreIsGits holds our verdicts against those that git gave when gitVerdicts was written.
func TestIgnoreIsGits(t *testing.T) {
	if *askGit {
		writeGitCases(t)
	}
	data, err := os.ReadFile(gitVerdicts)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		var c gitCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		n += len(c.Decides)
		if len(c.Decides) != len(gitPaths()) {
			t.Fatalf("%d verdicts for %d paths", len(c.Decides), len(gitPaths()))
		}
		differences(t, c)
	}
	t.Logf("%d verdicts of git", n)
}

// TestIgnoreIsGitsNow asks the git of this machine about rules that nobody has seen before.
func TestIgnoreIsGitsNow(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: only the verdicts in " + gitVerdicts + " were compared")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd, dir := rand.New(rand.NewPCG(seed, 1)), gitTree(t)
	for range 300 {
		if differences(t, verdicts(t, dir, randomRules(rnd))); t.Failed() {
			return
		}
	}
}

func writeGitCases(t *testing.T) {
	t.Helper()
	rnd, dir := rand.New(rand.NewPCG(1, 1)), gitTree(t)
	cases := craftedRules()
	for range 250 {
		cases = append(cases, randomRules(rnd))
	}
	var out bytes.Buffer
	for _, c := range cases {
		if err := json.NewEncoder(&out).Encode(verdicts(t, dir, c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(gitVerdicts), 0o755), os.WriteFile(gitVerdicts, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// gitTree makes a repository that holds gitPaths and nothing else.
func gitTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", ".")
	for _, p := range gitPaths() {
		full := filepath.Join(dir, p)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		if strings.HasSuffix(p, "/") {
			err = errors.Join(err, os.MkdirAll(full, 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(full, nil, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func git(t *testing.T, dir string, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() == 1 {
		return out // nothing is ignored
	}
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, failed.Stderr)
	}
	return out
}

// verdicts asks git. Its two files that stand to each other as ours do are info/exclude, which is read first, and .gitignore.
func verdicts(t *testing.T, dir string, c gitCase) gitCase {
	t.Helper()
	err := errors.Join(os.WriteFile(filepath.Join(dir, ".git/info/exclude"), c.Shared, 0o644), os.WriteFile(filepath.Join(dir, ".gitignore"), c.Local, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	for _, p := range gitPaths() {
		in.WriteString(strings.TrimSuffix(p, "/") + "\x00")
	}
	out := git(t, dir, in.Bytes(), "check-ignore", "-v", "-n", "--no-index", "--stdin", "-z")
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields) != 4*len(gitPaths()) {
		t.Fatalf("git answers %d fields to %d paths", len(fields), len(gitPaths()))
	}
	decides := make([]byte, len(gitPaths()))
	for i := range decides {
		line := 0
		if s := fields[4*i+1]; s != "" {
			_, err = fmt.Sscan(s, &line)
		}
		if err != nil {
			t.Fatal(err)
		}
		decides[i] = letter(fields[4*i] == ".gitignore", line)
	}
	c.Decides = string(decides)
	return c
}

// craftedRules are those where implementations are known to part.
func craftedRules() (all []gitCase) {
	for _, s := range []string{
		"a**", "a/b**", "a/b**/a", "a**/b", "/**", "a/b/", "**/", "a//", "***/b", "a/***", `a/**\/b`, "[a/]b", "a[/]b", `\a/b`, "b/**/**/a", "/**/b", "a/?*/**", "*/b/",
		"*", "/*", "/*/", "*/", "*/*", "*/*/", "**", "**/*", "**/**", "*\n!*/", "*\n!/a/", "*\n!*.a", "/*\n!/a\n/a/*\n!/a/b", "a\n!a/f", "a/*\n!a/f", "a/**\n!a/f", "a/**\n!a/a/\n!a/a/f",
		"!a", "!!a", `\!a`, "!#a", "#a", `\#a`, " #a", " a", "a ", `a b\ `, `a b\  `, `a b \`, `a b\\ `, "a\t", "a b\t", "a b ", "a b *",
		"a\r\n", "a\r\n!a/f\r\n", "\r\n", "a\r\r\n", "f\r", "\xef\xbb\xbff", "f\n\xef\xbb\xbfa", "a\n\n\n# x\n\nb",
		"é", "?", "??", "[é]", "[é]?", "é*", "*é", "\xff", "[\xff]", "[\x80-\xff]*", "[a-\xff]", "é b/", "e\u0301",
		"[a]", `\[a]`, `\[a\]`, "[[]a]", "[]]", "[!]]", "[^]]", "[]-]", "[a-]", "[-a]", "[b-a]", "[a-b-c]", "[!a]", "[^a]", "[a^]", "[a!]", "[", "[a", "a[b", "a]", "[]", "[!]", "[^]", `[\]]`, `[\\]`, `[\`, `[\\]x`, `\\x`, `\x`, `*\`, `\`, "a\\",
		"[[:alpha:]]", "[[:upper:]]", "[[:lower:]]*", "[^[:alpha:]]", "[[:punct:]]*", "[[:space:]]", "*[[:space:]]", "[[:nonsense:]]", "[[:alpha:]", "[[:alpha]]", "[[:]", "[[::]]", "[[:alpha:]-z]", "[a-[:alpha:]]", "[[a-b]", "[[:digit:][:alpha:]]", "[[:ALPHA:]]",
		"/", "//", "///", "!", "!/", "./a", "../a", "a/.", "a/..", "a/./f", "/a", "//a", "/a/", "a/", "a/f", "a/f/", "f/", "/f", "/f/", "a/a/a/", "a/a/a/f", "a/*/a", "a/*/a/", "**/a/", "**/a/**", "**/a/*", "a/**/f", "a/**/a/f", "**/f", "**/a/f", "**a", "a**a/f", "**/*b/*", "/**/*/f",
		"*.a", "*.A", "b.*", ".*", "?.a", "*a*", "*b*a*", "A", "a*b/", "**b/", "aa*", "*ab", "a?b", "a/?/f", "a?f", "a*f", "a[^b]f",
	} {
		all = append(all, gitCase{Shared: []byte(s)})
	}
	for _, two := range [][2]string{{"f", "!f"}, {"!f", "f"}, {"a/", "!a/"}, {"a/", "!a/f"}, {"*", "!a/\n!f"}, {"", "f"}, {"f", ""}, {"!a/f", "a/*"}} {
		all = append(all, gitCase{Shared: []byte(two[0]), Local: []byte(two[1])})
	}
	return all
}

func randomRules(rnd *rand.Rand) (c gitCase) {
	c.Shared = randomFile(rnd, 1+rnd.IntN(6))
	if rnd.IntN(3) == 0 {
		c.Local = randomFile(rnd, 1+rnd.IntN(3))
	}
	return c
}

func randomFile(rnd *rand.Rand, lines int) []byte {
	var b bytes.Buffer
	end := pick(rnd, "\n", "\n", "\r\n")
	if rnd.IntN(10) == 0 {
		b.WriteString("\xef\xbb\xbf")
	}
	for range lines {
		b.WriteString(randomPattern(rnd) + end)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte(pick(rnd, "\n", "#")))
}

func pick(rnd *rand.Rand, from ...string) string { return from[rnd.IntN(len(from))] }

func randomPattern(rnd *rand.Rand) string {
	var b strings.Builder
	b.WriteString(pick(rnd, "", "", "", "", "!", "!", "/", "!/", "**/", "#"))
	for range 1 + rnd.IntN(5) {
		b.WriteString(pick(rnd, "a", "a", "b", "ab", "f", "*", "*", "**", "?", "/", "/", "/", "**/", "/**", "[ab]", "[!a]", "[^b]", "[a-b]", `\a`, "]", "-", ".", " ", `\ `, "é", "[é]", "\xff", `\\`, "[", `\[`, "[a]",
			"[]-]", "[[:alpha:]]", "[^[:punct:]]", "[[:space:]]", "[!-~]", `[\]]`, `\/`, "[b-a]", "[a-]", "A", "#", "!", "\t", "\r", "[[:x:]]"))
	}
	b.WriteString(pick(rnd, "", "", "", "", "/", " ", `\ `, "  ", `\`))
	return b.String()
}
