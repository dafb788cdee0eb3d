// Package lab is a small network of real machines for tests: each host is a
// network namespace with a home, a folder and at most one running node, on one
// bridge. It needs root. It drives the program by its command line alone and
// looks at the real disk.
package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// lab is a small network: hosts in namespaces of their own on one bridge.
type Lab struct {
	T      testing.TB
	id     int
	Dir    string
	Hosts  []*Host
	bridge string // the namespace that holds the bridge
	ports  int    // of the bridge

	outside, routers int // public hosts and routers so far
}

// host is one machine of the lab: a namespace, a home, a folder, and at most
// one running node.
type Host struct {
	lab       *Lab
	Name      string
	NS, IP    string
	Home, Dir string
	Program   string   // other than the one under test, "" for that
	Env       []string // of every command of the program
	Args      []string // of every Up
	Wrap      []string // put before every command of the program, such as unshare with its arguments
	Node      *exec.Cmd
	user      int // 0: root
	log       *tail
	exited    chan struct{}
}

var labs atomic.Int64

// New makes a lab with hosts of the given names; everything is taken down
// when the test ends.
func New(t testing.TB, names ...string) *Lab {
	t.Helper()
	l := &Lab{T: t, id: os.Getpid()*100 + int(labs.Add(1)), Dir: t.TempDir()}
	l.bridge = fmt.Sprintf("mk%d-sw", l.id)
	l.Must("ip", "netns", "add", l.bridge)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.bridge).Run() })
	l.Must("ip", "-n", l.bridge, "link", "add", "br0", "type", "bridge")
	l.Must("ip", "-n", l.bridge, "link", "set", "br0", "up")
	for _, n := range names {
		l.AddHost(n)
	}
	return l
}

// AddHost adds a host on the lab's bridge.
func (l *Lab) AddHost(name string) *Host {
	l.T.Helper()
	n := len(l.Hosts) + 1
	h := l.bare(name, fmt.Sprintf("10.77.0.%d", n))
	l.plug(h.NS, "eth0", h.IP+"/24")
	l.Must("ip", "-n", h.NS, "route", "add", "default", "dev", "eth0") // multicast needs a way out
	return h
}

// bare adds a host that is on no network yet.
func (l *Lab) bare(name, ip string) *Host {
	l.T.Helper()
	h := &Host{
		lab: l, Name: name, NS: fmt.Sprintf("mk%d-%s", l.id, name), IP: ip,
		Home: filepath.Join(l.Dir, name, "home"), Dir: filepath.Join(l.Dir, name, "Sync"),
	}
	l.Hosts = append(l.Hosts, h)
	for _, d := range []string{h.Home, h.Dir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			l.T.Fatal(err)
		}
	}
	l.namespace(h.NS)
	l.T.Cleanup(h.Kill)
	h.Nft("add table inet cut", "add chain inet cut in { type filter hook input priority 0 ; }", "add chain inet cut out { type filter hook output priority 0 ; }")
	return h
}

// namespace makes a network namespace with its loopback up.
func (l *Lab) namespace(ns string) {
	l.T.Helper()
	l.Must("ip", "netns", "add", ns)
	l.T.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	l.Must("ip", "-n", ns, "link", "set", "lo", "up")
}

// plug gives a namespace an interface on the lab's bridge.
func (l *Lab) plug(ns, dev, addr string) {
	l.T.Helper()
	l.ports++
	port := fmt.Sprintf("p%d", l.ports)
	l.Must("ip", "-n", l.bridge, "link", "add", port, "type", "veth", "peer", "name", dev, "netns", ns)
	l.Must("ip", "-n", l.bridge, "link", "set", port, "master", "br0", "up")
	l.Must("ip", "-n", ns, "addr", "add", addr, "dev", dev)
	l.Must("ip", "-n", ns, "link", "set", dev, "up")
}

func (l *Lab) Must(name string, args ...string) {
	l.T.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.T.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// Run runs a command that may fail: to tidy up.
func (l *Lab) Run(name string, args ...string) { _ = exec.Command(name, args...).Run() }

// Command makes a command that runs in the host's network.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	enter := []string{"--net=/run/netns/" + h.NS, "--"}
	if h.user != 0 {
		enter = append(enter, "setpriv", "--reuid", strconv.Itoa(h.user), "--regid", strconv.Itoa(h.user), "--clear-groups", "--")
	}
	if name == Program {
		enter = append(enter, h.Wrap...)
		name = cmp.Or(h.Program, Program)
	}
	cmd := exec.Command("nsenter", append(append(enter, name), args...)...)
	cmd.Env = append(os.Environ(), append(h.Env, "MEERKAT_HOME="+h.Home, "NO_COLOR=1")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// Unprivileged has all later commands on the host run as nobody, to whom home
// and folder then belong.
func (h *Host) Unprivileged() {
	h.lab.T.Helper()
	h.user = 65534
	dir := filepath.Dir(h.Home)
	h.lab.Must("chown", "-R", strconv.Itoa(h.user), dir)
	for ; dir != "/"; dir = filepath.Dir(dir) {
		h.lab.Must("chmod", "a+x", dir)
	}
	h.lab.Must("chmod", "a+rx", filepath.Dir(Program), Program)
}

// Nft runs nft commands in the host's network. It needs root.
func (h *Host) Nft(lines ...string) {
	h.lab.T.Helper()
	cmd := h.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.lab.T.Fatalf("nft on %s: %v: %s", h.Name, err, out)
	}
}

// Cut drops all packets between h and others, both ways, silently.
func (h *Host) Cut(others ...*Host) {
	for _, o := range others {
		h.Nft("add rule inet cut in ip saddr "+o.IP+" drop", "add rule inet cut out ip daddr "+o.IP+" drop")
		o.Nft("add rule inet cut in ip saddr "+h.IP+" drop", "add rule inet cut out ip daddr "+h.IP+" drop")
	}
}

// Heal lets all packets of the lab pass again.
func (l *Lab) Heal() {
	for _, h := range l.Hosts {
		h.Nft("flush chain inet cut in", "flush chain inet cut out")
	}
}

// Split cuts the lab into groups that cannot talk to each other.
func (l *Lab) Split(groups ...[]*Host) {
	for i, g := range groups {
		for _, other := range groups[i+1:] {
			for _, h := range g {
				h.Cut(other...)
			}
		}
	}
}

// Up starts the host's node and waits until it serves.
func (h *Host) Up(args ...string) {
	h.lab.T.Helper()
	if h.Node != nil {
		h.lab.T.Fatalf("%s runs already", h.Name)
	}
	all := append([]string{"up", "--log-level", "debug", "--name", h.Name}, append(h.Args, args...)...)
	cmd := h.Command(Program, all...)
	r, w, err := os.Pipe()
	if err != nil {
		h.lab.T.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		h.lab.T.Fatal(err)
	}
	_ = w.Close()
	h.Node, h.log, h.exited = cmd, newTail(r), make(chan struct{})
	exited := h.exited
	go func() { _ = cmd.Wait(); close(exited) }()
	select {
	case <-h.log.ready:
	case <-exited:
		h.lab.T.Fatalf("%s did not start:\n%s", h.Name, h.log)
	case <-time.After(20 * time.Second):
		h.lab.T.Fatalf("%s is not ready after 20 s:\n%s", h.Name, h.log)
	}
}

// Stop ends the node in order and returns its exit code.
func (h *Host) Stop() int {
	h.lab.T.Helper()
	h.Signal(syscall.SIGTERM)
	select {
	case <-h.exited:
	case <-time.After(10 * time.Second):
		h.lab.T.Errorf("%s still runs 10 s after SIGTERM:\n%s", h.Name, h.log)
		h.Kill()
	}
	code := h.Node.ProcessState.ExitCode()
	h.Node = nil
	return code
}

// Kill ends the node as a crash does. It may be down already.
func (h *Host) Kill() {
	if h.Node == nil {
		return
	}
	h.Signal(syscall.SIGKILL)
	<-h.exited
	h.Node = nil
}

// Signal reaches the node itself: nsenter has become it.
func (h *Host) Signal(s syscall.Signal) { _ = syscall.Kill(h.Node.Process.Pid, s) }

// Running reports whether the node has not exited.
func (h *Host) Running() bool {
	if h.Node == nil {
		return false
	}
	select {
	case <-h.exited:
		return false
	default:
		return true
	}
}

// Pool makes a pool of the first host's folder and lets the others join by
// ticket; all nodes run and are in sync when it returns.
func (l *Lab) Pool(hosts ...*Host) {
	l.T.Helper()
	first := hosts[0]
	first.Cli("init", first.Dir, "--name", "home")
	first.Up()
	for _, h := range hosts[1:] {
		ticket := first.Cli("invite", "-q")
		h.Up()
		h.Cli("join", ticket, h.Dir, "--timeout", "30s")
	}
	l.Equal(hosts...)
}

// Until polls cond until it holds, and fails the test with what it last said.
func (l *Lab) Until(limit time.Duration, what string, cond func() error) {
	l.T.Helper()
	end := time.Now().Add(limit)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			l.T.Fatalf("%s: not after %v: %v\n%s", what, limit, err, l.Logs())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Logs gathers the last lines of all nodes.
func (l *Lab) Logs() string {
	var b strings.Builder
	for _, h := range l.Hosts {
		if h.log != nil {
			fmt.Fprintf(&b, "--- %s\n%s\n", h.Name, h.log)
		}
	}
	return b.String()
}

// Converged waits until the nodes show one root and want nothing, twice in a
// row.
func (l *Lab) Converged(limit time.Duration, hosts ...*Host) {
	l.T.Helper()
	for range 2 {
		l.Until(limit, "convergence", func() error {
			root := ""
			for _, h := range hosts {
				r := h.Try("status", "--json")
				var s Status
				if err := json.Unmarshal([]byte(r.Out), &s); err != nil || len(s.Pools) != 1 {
					return fmt.Errorf("%s: status %s %s", h.Name, r.Out, r.Err)
				}
				p := s.Pools[0]
				if p.State != "in_sync" && p.State != "offline" || p.WantedHere.Files != 0 {
					return fmt.Errorf("%s: %s, wants %d, problems %v", h.Name, p.State, p.WantedHere.Files, p.Problems)
				}
				if root == "" {
					root = p.Root
				}
				if p.Root != root {
					return fmt.Errorf("%s: another root than %s", h.Name, hosts[0].Name)
				}
			}
			return nil
		})
		for _, h := range hosts {
			h.Cli("wait", "--timeout", "60s")
		}
	}
}

// Equal waits for convergence and compares the folders on disk.
func (l *Lab) Equal(hosts ...*Host) {
	l.T.Helper()
	l.EqualWithin(60*time.Second, hosts...)
}

func (l *Lab) EqualWithin(limit time.Duration, hosts ...*Host) {
	l.T.Helper()
	l.Converged(limit, hosts...)
	want := Snapshot(l.T, hosts[0].Dir)
	for _, h := range hosts[1:] {
		if diff := Compare(want, Snapshot(l.T, h.Dir)); diff != "" {
			l.T.Fatalf("%s and %s differ:\n%s\n%s", hosts[0].Name, h.Name, diff, l.Logs())
		}
	}
}

// Wire is how many bytes the host has received and sent on its network.
func (h *Host) Wire() (in, out int64) {
	h.lab.T.Helper()
	b, err := h.Command("cat", "/proc/self/net/dev").Output()
	if err != nil {
		h.lab.T.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if f := strings.Fields(rest); ok && name == "eth0" && len(f) > 8 {
			in, _ = strconv.ParseInt(f[0], 10, 64)
			out, _ = strconv.ParseInt(f[8], 10, 64)
		}
	}
	return in, out
}
