package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bwaklog/meerkat/node"
)

// The manual is written by a test, so that what it takes is no part of the program.
var manDir = flag.String("man", "", "write the manual pages into this directory")

// settingsGuide becomes meerkat-settings(5).
const settingsGuide = "../../docs/guide/settings.md"

// page is a manual page in Markdown: a command, and those below it as sections of their own.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"text": text, "flags": flags, "title": manTitle, "name": manName, "use": useLine, "below": below, "tail": func() string { return manTail },
}).Parse(`{{title .}}

# NAME
{{name .}} - {{text .Short}}

# SYNOPSIS
{{if .HasSubCommands}}**{{text .CommandPath}}** *COMMAND*{{else}}{{use .}}{{end}}
{{if .Long}}
# DESCRIPTION
{{text .Long}}
{{end}}
{{if .HasParent}}{{with flags .LocalNonPersistentFlags}}
# OPTIONS
{{.}}{{end}}{{range below . ""}}
# {{.Name}}
{{use .}}

{{text (or .Long .Short)}}
{{with flags .LocalNonPersistentFlags}}
### Options
{{.}}{{end}}{{if .HasExample}}
### Examples
~~~
{{.Example}}
~~~
{{end}}{{end}}{{else}}
# COMMANDS
{{$root := .}}{{range .Groups}}
### {{.Title}}
{{range below $root .ID}}
**{{name .}}**(1)
: {{text .Short}}
{{end}}{{end}}
# GLOBAL OPTIONS
{{flags .PersistentFlags}}
{{tail}}{{end}}
{{if .HasExample}}
# EXAMPLES
~~~
{{.Example}}
~~~
{{end}}
# SEE ALSO
{{if .HasParent}}**meerkat**(1), which has the options that all commands take{{else}}**meerkat-settings**(5){{end}}
`))

// manTail is what meerkat(1) says beyond the commands.
const manTail = `
# EXIT STATUS
~~~
  0  done, healthy
  1  failed
  2  usage, or needs --yes
  3  node not running
  4  no such pool, node or path
  5  not allowed for this role
  6  timed out, or peer unreachable
  7  needs attention
  8  stopped by a guard
  9  ticket bad, used or expired
 10  already so
130  interrupted
~~~

# ENVIRONMENT

MEERKAT\_HOME
: the home of the node, as --home

NO\_COLOR
: no colours

MEERKAT\_TICKET\_FILE, MEERKAT\_DIR
: a ticket for the first start, and the folder to join with

MEERKAT\_*KEY*
: a setting: its key in capitals, with two underscores for the dot, such as MEERKAT\_NETWORK\_\_MDNS=off

# FILES

*$XDG\_STATE\_HOME/meerkat*
: the home, by default *~/.local/state/meerkat*: *identity.key*, *config.toml*, *state/* and *meerkat.sock*

*.meerkat/*
: in a pool: its marker, files being fetched, and versions

*.meerkatignore*, *.meerkatignore.local*
: in a pool: what is left out, on all nodes and on this one
`

var marks = regexp.MustCompile("[\\\\`*_{}\\[\\]<>#|~]")

// text keeps Markdown from seeing marks in plain words. cobra's own texts are Markdown where they have code and headings.
func text(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "####") {
			lines[i] = marks.ReplaceAllString(line, `\$0`)
		}
	}
	return strings.Join(lines, "\n")
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func manTitle(c *cobra.Command) string { return manHead(manName(c), "1") }

func manHead(name, section string) string {
	return "% " + strings.ToUpper(name) + " " + section + ` "` + released().Format(time.DateOnly) + `" "meerkat ` + node.Version + `" "meerkat"`
}

// released is the day that the pages bear: the commit's, where packaging/release says it.
func released() time.Time {
	n, _ := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64) // else the first day of all
	return time.Unix(n, 0).UTC()
}

// useLine is how a command is typed.
func useLine(c *cobra.Command) string {
	line := c.Use
	if c.HasParent() {
		line = c.Parent().CommandPath() + " " + line
	}
	return "**" + text(line) + "**"
}

// below gives the commands of c that are in a group; those in any for "".
func below(c *cobra.Command, group string) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && (group == "" || sub.GroupID == group) {
			all = append(all, sub)
		}
	}
	return all
}

// flags lists options as they are typed, with what they take.
func flags(set *pflag.FlagSet) string {
	var b strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		takes, usage := pflag.UnquoteUsage(f)
		if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue) {
			usage += " (default " + f.DefValue + ")"
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if takes != "" {
			name += " *" + text(takes) + "*"
		}
		b.WriteString("\n" + name + "\n: " + text(usage) + "\n")
	})
	return b.String()
}

// TestManPages writes meerkat(1), a page for each command, and meerkat-settings(5).
func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	root := newRoot(newApp(processIO(), nil))
	root.InitDefaultCompletionCmd()
	all := append(below(root, ""), root)
	for _, c := range all {
		var md bytes.Buffer
		if err := page.Execute(&md, c); err != nil {
			t.Fatal(err)
		}
		writeManPage(t, dir, manName(c)+".1", md.Bytes())
	}
	guide, err := os.ReadFile(settingsGuide)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "\n")
	writeManPage(t, dir, "meerkat-settings.5", []byte(manHead("meerkat-settings", "5")+"\n\n# NAME\nmeerkat-settings - what a node can be told\n\n# DESCRIPTION\n"+rest))
	if pages, err := filepath.Glob(filepath.Join(dir, "meerkat*.[15]")); err != nil || len(pages) != len(all)+1 {
		t.Errorf("%d pages for %d commands and the settings: %v", len(pages), len(all), err)
	}
}

func writeManPage(t *testing.T, dir, name string, md []byte) {
	t.Helper()
	roff := md2man.Render(md)
	for _, want := range []string{".TH MEERKAT", ".SH NAME", "meerkat"} {
		if !bytes.Contains(roff, []byte(want)) {
			t.Errorf("%s has no %q:\n%s", name, want, roff)
		}
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), roff, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// TestSettingsAreExplained holds the guide against what the program knows: each setting, its default, and when it takes effect.
func TestSettingsAreExplained(t *testing.T) {
	guide, err := os.ReadFile(settingsGuide)
	if err != nil {
		t.Fatal(err)
	}
	home, err := node.OpenHome(node.HomeConfig{Dir: t.TempDir(), Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	all := home.SettingList()
	for _, s := range all {
		if want := explained(s); !bytes.Contains(guide, []byte(want)) {
			t.Errorf("docs/guide/settings.md does not say:\n%s", want)
		}
	}
	if n := bytes.Count(guide, []byte("\n### ")); n != len(all) {
		t.Errorf("docs/guide/settings.md explains %d settings, there are %d", n, len(all))
	}
}

func explained(s node.SettingInfo) string {
	def, when := strings.Join(s.Default, " "), "At once"
	if s.Key == "name" {
		def = "the machine's name"
	}
	if def == "" {
		def = "none"
	}
	if s.Restart {
		when = "Next start"
	}
	return "\n### " + s.Key + "\nDefault: " + def + ". " + when + ".\n"
}
