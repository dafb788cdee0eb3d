package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// Result is what one command answered.
type Result struct {
	Out, Err string
	Code     int
}

// Try runs a command of the program on the host and returns whatever it says.
func (h *Host) Try(args ...string) Result { return h.TryIn("", args...) }

func (h *Host) TryIn(stdin string, args ...string) Result {
	cmd := h.Command(Program, args...)
	var out, errb bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errb
	err := cmd.Start()
	if err == nil {
		timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		timer.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{Err: err.Error(), Code: -1}
	}
	return Result{Out: out.String(), Err: errb.String(), Code: cmd.ProcessState.ExitCode()}
}

// Cli runs a command that must succeed and returns its stdout.
func (h *Host) Cli(args ...string) string {
	h.lab.T.Helper()
	r := h.Try(args...)
	if r.Code != 0 {
		h.lab.T.Fatalf("%s: meerkat %s: exit %d\nstdout: %s\nstderr: %s\nlog: %s", h.Name, strings.Join(args, " "), r.Code, r.Out, r.Err, h.log)
	}
	return strings.TrimSpace(r.Out)
}

// JSON runs a command with --json and decodes its answer into v.
func (h *Host) JSON(v any, args ...string) {
	h.lab.T.Helper()
	out := h.Cli(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		h.lab.T.Fatalf("%s: meerkat %v: %v in %s", h.Name, args, err, out)
	}
}

// Status is the part of `status --json` that tests read.
type Status struct {
	Node  struct{ ID, Name string }
	Pools []struct {
		ID, Name, State, Root string
		HaltedWhy             string `json:"halted_why"`
		Files, Dirs, Bytes    int64
		WantedHere            struct{ Files, Bytes int64 } `json:"wanted_here"`
		NeedsYou              int                          `json:"needs_you"`
		Conflicts, Held       int
		Problems              []struct{ Path, Code, Message, Hint string }
		Notices               []string
		Members               []struct {
			ID, Name, Role string
			Online         bool
			Link           struct{ Kind, Transport, Addr string }
			MissingThere   struct{ Files, Bytes int64 } `json:"missing_there"`
		}
	}
}

func (h *Host) Status() Status {
	h.lab.T.Helper()
	var s Status
	h.JSON(&s, "status")
	return s
}

// ID is the node's id.
func (h *Host) ID() string { return h.identity().ID }

// Addrs are the addresses that the running node gives for itself.
func (h *Host) Addrs() []string { return h.identity().Addrs }

func (h *Host) identity() (id struct {
	ID    string
	Addrs []string
},
) {
	h.lab.T.Helper()
	h.JSON(&id, "id")
	return id
}
