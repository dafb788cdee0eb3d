//go:build ignore

// Typecheck checks the types of the program for other systems, and compiles nothing, which would take minutes: go run
// -modfile=tools.mod packaging/typecheck.go OS/ARCH... Of other modules it reads the declarations alone.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

const module = "github.com/bwaklog/meerkat"

func main() {
	good := true
	for _, target := range os.Args[1:] {
		good = check(target) && good
	}
	if !good {
		os.Exit(1)
	}
}

func check(target string) bool {
	goos, goarch, _ := strings.Cut(target, "/")
	all, err := packages.Load(&packages.Config{
		Mode:      packages.LoadAllSyntax,
		Env:       append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOOS="+goos, "GOARCH="+goarch),
		ParseFile: parse,
	}, "./cmd/meerkat")
	if err != nil {
		fmt.Fprintln(os.Stderr, target, err)
		return false
	}
	good := true
	packages.Visit(all, nil, func(p *packages.Package) { good = told(target, p) && good })
	return good
}

// parse leaves the bodies of functions away where they are not ours.
func parse(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	root, _ := os.Getwd() // else everything is ours, which only takes longer
	if f == nil || strings.HasPrefix(name, root+"/") {
		return f, err
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			fn.Body = nil
		}
	}
	return f, err
}

// told says what is wrong with a package of ours, and whether nothing is. Those of others, whose bodies are missing, have
// no say.
func told(target string, p *packages.Package) bool {
	if !strings.HasPrefix(p.PkgPath, module) {
		return true
	}
	for _, e := range p.Errors {
		fmt.Fprintf(os.Stderr, "%s: %v\n", target, e)
	}
	return len(p.Errors) == 0
}
