package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is the binary under test; Build sets it.
var Program string

// Unable says why a lab cannot be made here, or "".
func Unable() string {
	if os.Getenv("MEERKAT_E2E") == "" {
		return "it needs root and makes network namespaces"
	}
	if os.Getuid() != 0 {
		return "it needs root"
	}
	for _, tool := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed (apt-get install iproute2 nftables util-linux)"
		}
	}
	return ""
}

// Build builds the program into a directory of its own and returns what
// removes it again. MEERKAT_E2E_RACE=1 builds it with the race detector;
// MEERKAT_LAB_PROGRAM names one that was built before, to compare with.
func Build() (clean func(), err error) {
	if p := os.Getenv("MEERKAT_LAB_PROGRAM"); p != "" {
		Program = p
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "meerkat-lab-")
	if err != nil {
		return nil, err
	}
	clean = func() { _ = os.RemoveAll(dir) }
	Program = filepath.Join(dir, "meerkat")
	if err := build(Program, ""); err != nil {
		clean()
		return nil, err
	}
	return clean, nil
}

// Tagged builds the program with a build tag for the hosts of one test, and returns its path.
func (l *Lab) Tagged(tag string) string {
	l.T.Helper()
	path := filepath.Join(l.Dir, "meerkat-"+tag)
	if err := build(path, tag); err != nil {
		l.T.Fatal(err)
	}
	return path
}

func build(path, tag string) error {
	args := []string{"build", "-o", path, "-tags", tag}
	if os.Getenv("MEERKAT_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "github.com/bwaklog/meerkat/cmd/meerkat")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("build the program: %w", err), errors.New(string(out)))
	}
	return nil
}
