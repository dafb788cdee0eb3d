package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) statusCmd() *cobra.Command {
	var check, watch bool
	c := command("status [--check] [--watch]", "Is everything all right?", `  meerkat status
  meerkat status --watch
  meerkat status --check || echo "look at it"`, takes(0, 0), func(ctx context.Context, _ []string) error {
		if check && watch {
			return usage("--check and --watch exclude each other", "give one of them")
		}
		return a.running(func(b control.Backend) error {
			if watch {
				return a.watch(ctx, b)
			}
			return a.status(ctx, b, check)
		})
	})
	c.Flags().BoolVar(&check, "check", false, "exit 7 where something needs a person")
	c.Flags().BoolVar(&watch, "watch", false, "go on showing it")
	return c
}

func (a *app) status(ctx context.Context, b control.Backend, check bool) error {
	s, err := b.Status(ctx)
	if err != nil {
		return err
	}
	if s, err = a.only(s); err != nil {
		return err
	}
	bad := check && !s.Healthy()
	// An error leaves the JSON answer empty: the caller asked for the exit code.
	if a.json && !bad {
		return a.object(s)
	}
	if !a.json && !(check && a.quiet) {
		if err := a.print("%s", strings.Join(a.statusLines(s), "\n")); err != nil {
			return err
		}
	}
	if bad {
		return needsAttention(s)
	}
	return nil
}

// only keeps the pool of --pool.
func (a *app) only(s node.Status) (node.Status, error) {
	if a.pool == "" {
		return s, nil
	}
	infos := make([]node.PoolInfo, len(s.Pools))
	for i, p := range s.Pools {
		infos[i] = node.PoolInfo{ID: p.ID, Name: p.Name}
	}
	want, err := pickPool(infos, a.pool)
	if err != nil {
		return s, err
	}
	for _, p := range s.Pools {
		if p.ID == want.ID {
			s.Pools = []node.PoolStatus{p}
			break
		}
	}
	return s, nil
}

func needsAttention(s node.Status) error {
	var what []string
	for _, p := range s.Pools {
		switch {
		case p.State == node.StateHalted:
			what = append(what, fmt.Sprintf("%s is halted: %s", p.Name, p.HaltedWhy))
		case p.NeedsYou > 0:
			what = append(what, fmt.Sprintf("%s: %s", p.Name, needs(p)))
		}
	}
	exit := exitAttention
	if guarded(s) {
		exit = exitGuard
	}
	return &node.Error{Code: "needs_attention", Message: "needs attention: " + strings.Join(what, "; "), Hint: `"meerkat status" shows all of it`, Exit: exit}
}

// needs lists what waits for a person.
func needs(p node.PoolStatus) string {
	var what []string
	for _, n := range []struct {
		n         int
		one, many string
	}{
		{p.Conflicts, "conflict", "conflicts"},
		{p.Held, "held change", "held changes"},
		{len(p.Problems), "problem", "problems"},
		{p.Requests, "request to join", "requests to join"},
	} {
		if n.n > 0 {
			what = append(what, count(int64(n.n), n.one, n.many))
		}
	}
	if len(what) == 0 {
		return count(int64(p.NeedsYou), "thing waits for you", "things wait for you")
	}
	return strings.Join(what, ", ")
}

// statusLines is the status for people.
func (a *app) statusLines(s node.Status) []string {
	up := duration(time.Duration(s.Node.UptimeMs) * time.Millisecond)
	lines := []string{fmt.Sprintf("%s  %s  %s", a.paint(bold, clean(s.Node.Name)), s.Node.ID, a.paint(faint, "up "+up))}
	for _, p := range s.Pools {
		lines = append(lines, "")
		lines = append(lines, a.poolLines(p, s.Transfer)...)
	}
	for _, j := range s.Joining {
		lines = append(lines, "", fmt.Sprintf("%s  %s  %s", clean(j.Name), clean(j.Path), a.paint(yellow, "waits to be admitted")))
	}
	if len(s.Pools)+len(s.Joining) == 0 {
		lines = append(lines, "", `no pool yet: "meerkat init DIR" makes one, "meerkat join TICKET DIR" joins one`)
	}
	return lines
}

func (a *app) poolLines(p node.PoolStatus, t node.Transfer) []string {
	lines := []string{
		fmt.Sprintf("%s  %s  %s", a.paint(bold, clean(p.Name)), clean(p.Path), p.Role),
		fmt.Sprintf("  %s  %s, %s", a.stateText(p), count(p.Files, "file", "files"), size(p.Bytes)),
	}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf("  "+format, args...)) }
	if p.Progress != nil {
		if a.wide && p.Progress.TotalFiles+p.Progress.TotalBytes > 0 {
			add("%s", a.paint(green, barText(*p.Progress, 50)))
		}
		add("%s", progressText(*p.Progress, t))
	} else if p.WantedHere.Files > 0 {
		add("%s to come here", amount(p.WantedHere))
	}
	if p.NeedsYou > 0 {
		add("%s", a.paint(yellow, "needs you: "+needs(p)))
	}
	for _, pr := range p.Problems {
		add("%s  %s", a.paint(red, shownPath(pr.Path, pr.PathB64)), clean(pr.Message))
		if pr.Hint != "" {
			add("  hint: %s", clean(pr.Hint))
		}
	}
	for _, n := range p.Notices {
		add("%s", clean(n))
	}
	for _, m := range p.Members {
		if !m.Self {
			add("%s", a.memberText(m))
		}
	}
	return lines
}

// stateText is the state, and why a pool is halted.
func (a *app) stateText(p node.PoolStatus) string {
	s := strings.ReplaceAll(p.State, "_", " ")
	switch p.State {
	case node.StateHalted:
		return a.paint(red, s+": "+clean(p.HaltedWhy))
	case node.StateInSync:
		return a.paint(green, s)
	case node.StatePaused:
		if p.PausedUntil != nil {
			s += " until " + a.when(*p.PausedUntil)
		}
	}
	return a.paint(yellow, s)
}

func (a *app) memberText(m node.Member) string {
	words := []string{clean(nameOf(m)), m.Role, presence(m)}
	if l := linkText(m.Link); l != "" {
		words = append(words, l)
	}
	if m.Paused {
		words = append(words, a.paint(yellow, "paused here"))
	}
	if m.MissingThere.Files > 0 || m.MissingThere.Bytes > 0 {
		words = append(words, amount(m.MissingThere)+" to go there")
	}
	return strings.Join(words, "  ")
}

// progressText says how far a long piece of work is.
func progressText(p node.Progress, t node.Transfer) string {
	what := "indexing"
	if p.Kind == "fetch" {
		what = "fetching"
	}
	if p.TotalFiles == 0 && p.TotalBytes == 0 {
		return fmt.Sprintf("%s  %s, %s so far", what, count(p.DoneFiles, "file", "files"), size(p.DoneBytes))
	}
	text := fmt.Sprintf("%s  %d %%  %d of %s, %s of %s", what, percent(p), p.DoneFiles, count(p.TotalFiles, "file", "files"), size(p.DoneBytes), size(p.TotalBytes))
	if p.Kind == "fetch" && t.RateIn > 0 {
		left := time.Duration(float64(p.TotalBytes-p.DoneBytes) / float64(t.RateIn) * float64(time.Second))
		text += fmt.Sprintf("  %s/s  %s left", size(t.RateIn), duration(left))
	}
	return text
}

// percent goes by bytes, or by files where there are no bytes; never above 100.
func percent(p node.Progress) int64 {
	done, total := p.DoneBytes, p.TotalBytes
	if total == 0 {
		done, total = p.DoneFiles, p.TotalFiles
	}
	if total <= 0 {
		return 0
	}
	return min(100, max(0, int64(float64(done)/float64(total)*100)))
}
