package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"
)

// clean makes text of others harmless on a terminal.
func clean(s string) string { return control.Clean(s) }

// shownPath is a path for people, with the bytes that JSON could not carry.
func shownPath(path, b64 string) string { return clean(control.RawPath(path, b64)) }

// object prints v as one line of JSON.
func (a *app) object(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := a.out.Write(b.Bytes())
	return err
}

// objects prints each of vs as one line of JSON.
func objects[T any](a *app, vs []T) error {
	for _, v := range vs {
		if err := a.object(v); err != nil {
			return err
		}
	}
	return nil
}

// say talks, on stderr, unless --quiet.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// print answers a person, on stdout.
func (a *app) print(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// table prints rows: aligned and with a head on a terminal, else separated by
// tabs. The cells are clean already.
func (a *app) table(head []string, rows [][]string) error {
	if !a.wide {
		for _, r := range rows {
			if err := a.print("%s", strings.Join(r, "\t")); err != nil {
				return err
			}
		}
		return nil
	}
	all := append([][]string{head}, rows...)
	widths := make([]int, len(head))
	for _, r := range all {
		for i, cell := range r {
			widths[i] = max(widths[i], shownWidth(cell))
		}
	}
	for _, r := range all {
		line := ""
		for i, cell := range r {
			line += cell + strings.Repeat(" ", widths[i]-shownWidth(cell)+2)
		}
		if err := a.print("%s", strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// shownWidth is how many columns s takes on a terminal; its colours take none.
func shownWidth(s string) int { return runewidth.StringWidth(colours.ReplaceAllString(s, "")) }

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// ask puts a question on stderr and reads yes or no from stdin.
func (a *app) ask(question string) (bool, error) {
	fmt.Fprint(a.err, question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

func trimSpace(b []byte) []byte { return bytes.TrimSpace(b) }

// Colours of the terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
	bold   = "1"
)

func (a *app) paint(colour, s string) string {
	if !a.colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func size(n int64) string {
	if n < 0 {
		return "-" + humanize.Bytes(uint64(-n))
	}
	return humanize.Bytes(uint64(n))
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

func ago(t time.Time) string { return humanize.Time(t) }

// when is a time in a list: RFC 3339 in UTC for programs, local for people.
func (a *app) when(t time.Time) string {
	if a.wide {
		return t.Local().Format("2006-01-02 15:04:05")
	}
	return t.UTC().Format(time.RFC3339)
}

// duration is a span for people, in its two greatest units.
func duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
