// Package archtest holds the map of who may import whom, and a test that compares the module with it.
//
// It is imported by nobody and does nothing at run time. Adding a package means adding it to the map, in review.
package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path that every package of ours begins with.
const Module = "github.com/bwaklog/meerkat"

// floors says what each package may import of ours, by path below the module. Imports go down only; the four on floor 3 do not
// know each other. A package may besides import its own internal/pb, which imports nothing of ours.
var floors = map[string][]string{
	// 0
	"chunker":        {},
	"internal/frame": {},
	// 1
	"event": {"chunker"},
	// 2
	"pool": {"event", "chunker"},
	// 3
	"store":  {"chunker", "event", "pool"},
	"folder": {"chunker", "event"},
	"pubsub": {"event", "internal/frame"},
	"swarm":  {"chunker", "internal/frame"},
	// 4
	"node": {"chunker", "internal/frame", "event", "pool", "store", "folder", "pubsub", "swarm"},
	// 5
	"control": {"node", "event"},
	// 6
	"control/ui":      {"control", "node"},
	"control/metrics": {"control", "node"},
	// top
	"cmd/meerkat": {"control", "control/metrics", "control/ui", "node", "test/rot"}, // test/rot: its tests alone
	// apart
	"test/rot":          {"event", "folder", "store"},
	"internal/archtest": {},
}

// guarded are packages of others that only some of ours may import, and why.
var guarded = []struct {
	path string // and everything below
	by   []string
	why  string
}{
	{"github.com/libp2p/go-libp2p/core/host", []string{"pubsub", "swarm", "node"}, "a host is a network; all else takes values"},
	{"github.com/libp2p/go-libp2p-pubsub", []string{"pubsub"}, "gossip is a way to be quick, and stays replaceable"},
}

const (
	tests = "test/" // programs and suites over everything: may import anything
	pb    = "/internal/pb"
)

// check says what is wrong with pkg importing imports: nothing, or one sentence each.
func check(pkg string, imports []string) (wrong []string) {
	name, ours := strings.CutPrefix(pkg, Module+"/")
	if !ours {
		return []string{fmt.Sprintf("%s lies in the root of the module or outside of it", pkg)}
	}
	if strings.HasPrefix(name, tests) {
		return nil
	}
	if _, known := allowed(name); !known {
		return []string{fmt.Sprintf("%s is not on the map in internal/archtest", name)}
	}
	for _, path := range imports {
		if why := refuse(name, path); why != "" {
			wrong = append(wrong, why)
		}
	}
	return wrong
}

// allowed is what package name may import of ours, and whether it is on the map.
func allowed(name string) (paths []string, known bool) {
	if owner, isPB := strings.CutSuffix(name, pb); isPB {
		_, known = floors[owner]
		return nil, known
	}
	paths, known = floors[name]
	return append(slices.Clone(paths), name+pb), known
}

func refuse(name, path string) string {
	if path == Module {
		return fmt.Sprintf("%s imports the root of the module", name)
	}
	if below, ours := strings.CutPrefix(path, Module+"/"); ours {
		if may, _ := allowed(name); !slices.Contains(may, below) {
			return fmt.Sprintf("%s imports %s, which the map does not allow", name, below)
		}
		return ""
	}
	for _, g := range guarded {
		if (path == g.path || strings.HasPrefix(path, g.path+"/")) && !slices.Contains(g.by, name) {
			return fmt.Sprintf("%s imports %s, which is for %s only: %s", name, path, strings.Join(g.by, ", "), g.why)
		}
	}
	return ""
}
