// Package bench measures the program against rsync and against the limits of
// this machine: two nodes in two network namespaces over a veth pair, the
// rsync daemon and a raw libp2p stream beside them in the same run. It prints
// one table with ratios; a row beyond its bar is marked and fails nothing,
// because the machine decides too.
package bench

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(rawRole); role != "" {
		os.Exit(rawMain(role, os.Args[1:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if why := lab.Unable(); why != "" {
		fmt.Printf("bench: skipped: %s; run it as root with: just bench\n", why)
		return 0
	}
	clean, err := lab.Build()
	if err != nil {
		fmt.Println("bench:", err)
		return 1
	}
	defer clean()
	before := load()
	code := m.Run()
	fmt.Printf("load average %s at the start, %s at the end, %d CPUs; seconds of CPU are user and system of both nodes\n", before, load(), runtime.NumCPU())
	printTable(os.Stdout)
	return code
}
