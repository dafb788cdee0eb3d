package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed is what go list says of a package.
type listed struct {
	ImportPath  string
	Imports     []string
	TestImports []string // of its tests in the package, which are held to the map as well
	Module      struct{ Path string }
}

func list(t *testing.T) (pkgs []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,Module", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("go list: %v: %s", err, exit.Stderr)
	} else if err != nil {
		t.Fatalf("go list: %v", err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsGoDown(t *testing.T) {
	pkgs := list(t)
	if !slices.ContainsFunc(pkgs, func(p listed) bool { return p.ImportPath == Module+"/chunker" }) {
		t.Fatalf("go list shows %d packages, and no chunker: the wrong directory", len(pkgs))
	}
	for _, p := range pkgs {
		for _, wrong := range check(p.ImportPath, append(p.Imports, p.TestImports...)) {
			t.Error(wrong)
		}
	}
}

func TestMapItselfGoesDown(t *testing.T) {
	for name := range floors {
		if path := loop(name, nil); path != nil {
			t.Errorf("the map has a loop: %s", strings.Join(path, " → "))
		}
		for _, dep := range floors[name] {
			if _, ok := floors[dep]; !ok {
				t.Errorf("the map lets %s import %s, which is not on it", name, dep)
			}
		}
	}
}

func loop(name string, path []string) []string {
	if slices.Contains(path, name) {
		return append(path, name)
	}
	for _, dep := range floors[name] {
		if found := loop(dep, append(slices.Clone(path), name)); found != nil {
			return found
		}
	}
	return nil
}

func TestCheck(t *testing.T) {
	const m, host, gossip = Module + "/", "github.com/libp2p/go-libp2p/core/host", "github.com/libp2p/go-libp2p-pubsub"
	for _, c := range []struct {
		what, pkg string
		imports   []string
		wrong     int
	}{
		{"a floor below", m + "event", []string{"fmt", m + "chunker"}, 0},
		{"a floor above", m + "chunker", []string{m + "event"}, 1},
		{"neighbours on floor 3", m + "swarm", []string{m + "store", m + "folder"}, 2},
		{"its own pb", m + "event", []string{m + "event/internal/pb"}, 0},
		{"another's pb", m + "store", []string{m + "event/internal/pb"}, 1},
		{"a pb that imports ours", m + "event/internal/pb", []string{m + "chunker"}, 1},
		{"a pb of nobody", m + "stray/internal/pb", nil, 1},
		{"not on the map", m + "util", nil, 1},
		{"a subpackage that is not on the map", m + "store/cache", nil, 1},
		{"the root", Module, nil, 1},
		{"importing the root", m + "node", []string{Module}, 1},
		{"tests may", m + "test/sim", []string{m + "node", m + "chunker", host, gossip}, 0},
		{"a host where it belongs", m + "swarm", []string{host}, 0},
		{"a host where it does not", m + "store", []string{host}, 1},
		{"gossip in pubsub", m + "pubsub", []string{gossip, gossip + "/pb"}, 0},
		{"gossip in node", m + "node", []string{gossip}, 1},
		{"below gossip in node", m + "node", []string{gossip + "/pb"}, 1},
		{"a name that only begins alike", m + "store", []string{host + "x", gossip + "-x"}, 0},
	} {
		if got := check(c.pkg, c.imports); len(got) != c.wrong {
			t.Errorf("%s: %q, want %d complaints", c.what, got, c.wrong)
		}
	}
}
