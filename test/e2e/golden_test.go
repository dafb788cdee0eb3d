package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// The README's transcripts are run as they stand there: each line HOST$ COMMAND
// in a shell on that host, and what follows it is what it must print. Of what
// is printed only ids, tickets, times and rates may differ.

// line is one command of a transcript, and the lines that it prints.
type line struct {
	host, command string
	prints        []string
}

var prompt = regexp.MustCompile(`^([a-z]+)\$ (.*)$`)

// transcript is the first fenced block below a heading of the README.
func transcript(t *testing.T, heading string) (out []line) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	_, block, fenced := strings.Cut(section, "\n```\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !fenced || !closed {
		t.Fatalf("README.md has no transcript below %q", heading)
	}
	for s := range strings.SplitSeq(block, "\n") {
		if m := prompt.FindStringSubmatch(s); m != nil {
			out = append(out, line{host: m[1], command: m[2]})
		} else if strings.TrimSpace(s) != "" && len(out) > 0 {
			last := &out[len(out)-1]
			last.prints = append(last.prints, s)
		}
	}
	return out
}

// player plays a transcript on the hosts of a lab.
type player struct {
	*lab.Lab
	bin          string
	ticket, addr string // as last printed
}

// play runs all lines of a transcript, in order.
func play(t *testing.T, l *lab.Lab, heading string) {
	t.Helper()
	p := &player{Lab: l, bin: t.TempDir()}
	if err := os.Symlink(lab.Program, filepath.Join(p.bin, "meerkat")); err != nil {
		t.Fatal(err)
	}
	p.writeSSH()
	for _, s := range transcript(t, heading) {
		p.do(s)
	}
}

// writeSSH makes a stand-in for ssh: it runs a command on another host of the
// lab, with the streams that it was given.
func (p *player) writeSSH() {
	p.T.Helper()
	var b strings.Builder
	b.WriteString("#!/bin/sh\nhost=$1; shift\ncase $host in\n")
	for _, h := range p.Hosts {
		fmt.Fprintf(&b, "%s) ns=%s; HOME=%s; MEERKAT_HOME=%s; MEERKAT_NAME=%s;;\n", h.Name, h.NS, filepath.Dir(h.Dir), h.Home, h.Name)
	}
	b.WriteString("*) exit 255;;\nesac\nexport HOME MEERKAT_HOME MEERKAT_NAME\ncd \"$HOME\" && exec nsenter --net=/run/netns/$ns -- sh -c \"$*\"\n")
	if err := os.WriteFile(filepath.Join(p.bin, "ssh"), []byte(b.String()), 0o755); err != nil {
		p.T.Fatal(err)
	}
}

func (p *player) host(name string) *lab.Host {
	p.T.Helper()
	for _, h := range p.Hosts {
		if h.Name == name {
			return h
		}
	}
	p.T.Fatalf("README.md speaks of a machine %q that this test does not have", name)
	return nil
}

var (
	sampleTicket = regexp.MustCompile(`mkt1[\w-]*…`)
	sampleAddr   = regexp.MustCompile(`/ip4/[\d.]+/tcp/\d+/p2p/12D3KooW[\w]*…`)
	realTicket   = regexp.MustCompile(`mkt1[\w-]+`)
	realAddr     = regexp.MustCompile(`/ip4/[\d.]+/tcp/\d+/p2p/12D3KooW\w+`)
)

// do runs one line: what serves goes to the background, what looks is repeated
// until it sees what it should.
func (p *player) do(s line) {
	p.T.Helper()
	command := sampleTicket.ReplaceAllString(s.command, p.ticket)
	command = sampleAddr.ReplaceAllString(command, p.addr)
	if strings.Contains(command, "…") {
		p.T.Fatalf("%s$ %s: nothing was printed that could stand there", s.host, s.command)
	}
	p.T.Logf("%s$ %s", s.host, command)
	if strings.HasPrefix(command, "meerkat up") {
		p.serve(s, command)
		return
	}
	p.Until(60*time.Second, s.host+"$ "+s.command, func() error {
		out, err := p.shell(s.host, command).CombinedOutput()
		p.note(string(out))
		return errors.Join(err, missing(s.prints, string(out)))
	})
}

// shell is a command on a host, as its user would type it.
func (p *player) shell(host, command string) *exec.Cmd {
	h := p.host(host)
	cmd := h.Command("sh", "-c", command)
	cmd.Dir = filepath.Dir(h.Dir)
	cmd.Env = append(cmd.Env, "HOME="+cmd.Dir, "MEERKAT_NAME="+h.Name, "MEERKAT_LOG__LEVEL=debug", "PATH="+p.bin+":"+os.Getenv("PATH"))
	return cmd
}

// note keeps what later lines have to be given.
func (p *player) note(out string) {
	if m := realTicket.FindString(out); m != "" {
		p.ticket = m
	}
	for _, m := range realAddr.FindAllString(out, -1) {
		if !strings.HasPrefix(m, "/ip4/127.") {
			p.addr = m
			break
		}
	}
}

// serve runs a node until the test ends.
func (p *player) serve(s line, command string) {
	p.T.Helper()
	cmd := p.shell(s.host, "exec "+command)
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the whole group
		_ = cmd.Wait()                                      // killed
		if p.T.Failed() {
			p.T.Logf("%s$ %s\n%s", s.host, command, out)
		}
	})
	p.Until(30*time.Second, s.host+"$ "+s.command, func() error { return missing(s.prints, out.String()) })
}

// buffer is written by a process and read by the test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// missing says which of the lines were not printed.
func missing(want []string, out string) error {
	var have []string
	for s := range strings.SplitSeq(out, "\n") {
		have = append(have, shape(s))
	}
	all := "\n" + strings.Join(have, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(all, "\n"+shape(w)+"\n") {
			return fmt.Errorf("not printed: %q; printed was %q", shape(w), out)
		}
	}
	return nil
}

// volatile are the parts of a line that differ from run to run.
var volatile = []struct {
	is   *regexp.Regexp
	show string
}{
	{regexp.MustCompile(`/ip[46]/\S+`), "ADDR"},
	{regexp.MustCompile(`12D3KooW[\w…]+`), "ID"},
	{regexp.MustCompile(`mkt1[\w…-]+`), "TICKET"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\d+ (ms|s)\b`), "TIME"},
	{regexp.MustCompile(`direct (tcp|quic-v1)`), "direct"},
	{regexp.MustCompile(`/\S+/Sync\b`), "FOLDER"},
	{regexp.MustCompile(`\s+`), " "},
}

func shape(s string) string {
	for _, v := range volatile {
		s = v.is.ReplaceAllString(s, v.show)
	}
	return strings.TrimSpace(s)
}

func TestGolden_OneLAN(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "laptop", "pi")
	l.Hosts[0].Put("hello.txt", "hi\n")
	play(t, l, "Two machines on one LAN")
	l.Hosts[1].Want("hello.txt", "hi\n")
}

func TestGolden_HomeAndOffice(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	l.AddPublic("server")
	home := l.AddRouter(lab.Cone).AddHost("home")
	office := l.AddRouter(lab.Cone).AddHost("office")
	home.Put("hello.txt", "hi\n")
	play(t, l, "Home and office")
	office.Want("hello.txt", "hi\n")
}

func TestGolden_HeadlessPi(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "laptop", "pi")
	l.Hosts[0].Put("hello.txt", "hi\n")
	play(t, l, "A machine without a screen")
	l.Hosts[1].Want("hello.txt", "hi\n")
}
