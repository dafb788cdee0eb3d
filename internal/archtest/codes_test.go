package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryErrorCodeIsExplained holds the table for people against the codes that the program can tell.
func TestEveryErrorCodeIsExplained(t *testing.T) {
	root := filepath.Join("..", "..")
	used := map[string]string{}
	for _, dir := range []string{"node", "control", "control/ui", "cmd/meerkat", "folder", "store"} {
		codesIn(t, filepath.Join(root, dir), used)
	}
	if len(used) < 60 {
		t.Fatalf("only %d codes found in the program: the search is broken", len(used))
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "guide", "trouble.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| \\S").FindAllSubmatch(text, -1) {
		told[string(m[1])] = true
	}
	for _, code := range slices.Sorted(maps.Keys(used)) {
		if !told[code] {
			t.Errorf("docs/guide/trouble.md does not explain %s, which %s tells", code, used[code])
		}
	}
	for _, code := range slices.Sorted(maps.Keys(told)) {
		if used[code] == "" {
			t.Errorf("docs/guide/trouble.md explains %s, which nothing tells", code)
		}
	}
}

// codesIn notes the codes in the sources of dir and where each stands.
func codesIn(t *testing.T, dir string, used map[string]string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !isSource(f) {
			continue
		}
		path := filepath.Join(dir, f.Name())
		src, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(src, func(n ast.Node) bool {
			for _, code := range codesOf(n) {
				used[code] = path
			}
			return true
		})
	}
}

func isSource(f fs.DirEntry) bool {
	return strings.HasSuffix(f.Name(), ".go") && !strings.HasSuffix(f.Name(), "_test.go")
}

// codesOf finds codes in Code: "x", trouble("x", …), CodeX = "x", reasonX = "x" and the keys of the map codes.
func codesOf(n ast.Node) (codes []string) {
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && regexp.MustCompile("^[a-z][a-z_]+$").MatchString(s) {
				codes = append(codes, s)
			}
		}
	}
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
			add(n.Value)
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "trouble" && len(n.Args) > 0 {
			add(n.Args[0])
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if i < len(n.Values) && (strings.HasPrefix(name.Name, "Code") || strings.HasPrefix(name.Name, "reason")) {
				add(n.Values[i])
			}
			if name.Name == "codes" && len(n.Values) == 1 {
				if m, ok := n.Values[0].(*ast.CompositeLit); ok {
					for _, e := range m.Elts {
						add(e.(*ast.KeyValueExpr).Key)
					}
				}
			}
		}
	}
	return codes
}
