package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bwaklog/meerkat/test/lab"
)

// shells are those of Debian, with what loads the completion.
var shells = map[string]struct {
	argv []string
	load string
}{
	"bash": {[]string{"bash", "--norc", "--noprofile", "-i"}, ". /usr/share/bash-completion/bash_completion; . <(meerkat completion bash)"},
	"zsh":  {[]string{"zsh", "-f", "-i"}, "bindkey -e; autoload -U compinit; compinit -u -D; . <(meerkat completion zsh)"},
	"fish": {[]string{"fish", "--no-config", "-i"}, "meerkat completion fish | source"},
}

// completed is what is typed before the tabulator, and what it makes of it.
var completed = map[string]string{
	"meerkat stat":                           "meerkat status",
	"meerkat peer sho":                       "meerkat peer show",
	"meerkat status --che":                   "meerkat status --check",
	"meerkat invite --role kee":              "meerkat invite --role keeper",
	"meerkat peer show bo":                   "meerkat peer show bob's pi",
	`meerkat ping bob\'s\ `:                  "meerkat ping bob's pi",
	"meerkat pool show ho":                   "meerkat pool show home",
	"meerkat status --pool ho":               "meerkat status --pool home",
	"meerkat config get bandwidth.rel":       "meerkat config get bandwidth.relay",
	"meerkat conflicts show pl":              "meerkat conflicts show plan.txt",
	"meerkat conflicts resolve x --keep bot": "meerkat conflicts resolve x --keep both",
	"meerkat versions a-f":                   "meerkat versions a-file.txt",
	"meerkat versions two":                   "meerkat versions two words.txt",
	"meerkat restore gone":                   "meerkat restore gone away.txt",
	"meerkat why cos":                        "meerkat why costs $5.txt",
}

// TestCompletion types the beginning of commands into real shells on a terminal, presses the tabulator, and looks what
// words the shell then sees. PowerShell is in no distribution of ours: its script is only written, never run.
func TestCompletion(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "ana", "bob")
	l.Pool(l.Hosts...)
	a := l.Hosts[0]
	completable(l)
	for name, sh := range shells {
		t.Run(name, func(t *testing.T) {
			s := openShell(t, a, sh.argv)
			s.enter(sh.load + "; printf 'loa%s\\n' ded")
			s.await("loaded")
			for typed, want := range completed {
				s.wants(typed, want)
			}
			// What cobra writes for fish loses the words of a program behind a blank, where files are possible as well.
			if name != "fish" {
				s.wants(`meerkat restore gone\ a`, "meerkat restore gone away.txt")
			}
		})
	}
}

// words splits a command line of which the last word may hold spaces.
func words(line string) []string {
	for _, path := range []string{"two words.txt", "gone away.txt", "costs $5.txt", "bob's pi"} {
		if before, ok := strings.CutSuffix(line, " "+path); ok {
			return append(strings.Fields(before), path)
		}
	}
	return strings.Fields(line)
}

// completable gives the pool what can be completed: paths with blanks and signs, one that was deleted, and a conflict.
func completable(l *lab.Lab) {
	a, b := l.Hosts[0], l.Hosts[1]
	for _, name := range []string{"a-file.txt", "two words.txt", "gone away.txt", "costs $5.txt", "plan.txt"} {
		a.Write(name, name)
	}
	l.Converged(30*time.Second, a, b)
	a.OK(os.Remove(a.Path("gone away.txt")))
	l.Converged(30*time.Second, a, b)
	a.Cut(b)
	a.Write("plan.txt", "ana's")
	b.Write("plan.txt", "bob's")
	a.Cli("scan")
	b.Cli("scan")
	l.Heal()
	l.Converged(60*time.Second, a, b)
	a.WantConflicts(1)
	a.Cli("peer", "rename", "bob", "bob's pi")
}

// openShell starts a shell on a terminal of its own, in the pool's folder.
func openShell(t *testing.T, h *lab.Host, argv []string) *terminal {
	t.Helper()
	bin := t.TempDir()
	h.OK(os.Symlink(lab.Program, filepath.Join(bin, "meerkat")))
	person, program := openTerminal(t)
	cmd := h.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = h.Dir, program, program, program
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir(), "TERM=xterm", "LC_ALL=C.UTF-8", "PATH="+bin+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = program.Close() // the shell has it
	s := &terminal{t: t, person: person, done: make(chan struct{})}
	go s.read()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		_ = person.Close()
		<-s.done
	})
	return s
}

func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 250}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// terminal is a shell as a person sees it.
type terminal struct {
	t      *testing.T
	person *os.File
	done   chan struct{}

	mu     sync.Mutex
	screen strings.Builder
}

func (s *terminal) read() {
	defer close(s.done)
	part := make([]byte, 4096)
	for {
		n, err := s.person.Read(part)
		s.mu.Lock()
		s.screen.Write(part[:n])
		s.mu.Unlock()
		if err != nil {
			return // the shell is gone, or we are
		}
	}
}

func (s *terminal) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

func (s *terminal) enter(keys string) {
	if _, err := s.person.WriteString(keys + "\r"); err != nil {
		s.t.Fatal(err)
	}
}

// await gives what came before and after the words that are waited for.
func (s *terminal) await(words string) (before, after string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if before, after, ok := strings.Cut(s.seen(), words); ok {
			return before, after
		}
	}
	s.t.Fatalf("the terminal never shows %q:\n%q", words, s.seen())
	return "", ""
}

func (s *terminal) wants(typed, want string) {
	s.t.Helper()
	if got := s.complete(typed); got != "<"+strings.Join(words(want), "><")+">" {
		s.t.Errorf("%q and the tabulator give %s, want the words of %q", typed, got, want)
	}
}

// complete types a line and the tabulator, then goes to its beginning and has the shell show the words that it made of it.
func (s *terminal) complete(line string) string {
	s.t.Helper()
	s.mu.Lock()
	s.screen.Reset()
	s.mu.Unlock()
	s.enter(line + "\t\x01printf '(%s' 'begin)'; printf '<%s>' \x05; printf '(%s' 'end)'")
	s.await("(end)")
	_, rest := s.await("(begin)")
	words, _, _ := strings.Cut(rest, "(end)")
	return words
}
