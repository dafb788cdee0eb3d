// Package e2e runs the real program as real processes in network namespaces of
// its own, driven by its command line alone, and looks at the real disk. It
// shows what only kernels, networks and disks can show. Each test of a
// scenario carries that scenario's id in its name.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if why := lab.Unable(); why != "" {
		fmt.Printf("e2e: skipped: %s; run it as root with: MEERKAT_E2E=1 go test ./test/e2e/\n", why)
		return 0
	}
	clean, err := lab.Build()
	if err != nil {
		fmt.Println("e2e:", err)
		return 1
	}
	defer clean()
	return m.Run()
}
