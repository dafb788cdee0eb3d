package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) whyCmd() *cobra.Command {
	c := command("why [PATH|NODE]", "Why is this not in sync, and what would help", `  meerkat why                    # the first thing that waits
  meerkat why ~/Sync/plan.txt    # who has it, who lacks it, what each waits for
  meerkat why laptop             # why a member is not reached, or not directly`, takes(0, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			if len(args) == 1 && isNode(args[0]) {
				return a.whyNode(ctx, b, args, nil)
			}
			pool, path, err := a.place(ctx, b, strings.Join(args, ""))
			if err != nil {
				return err
			}
			w, err := b.Why(ctx, pool, path)
			if err != nil {
				return a.whyNode(ctx, b, args, err)
			}
			return a.showWhy(w)
		})
	})
	c.ValidArgsFunction = a.completeMembersOrFiles
	return c
}

// whyNode answers where what was asked for is no path but a member; err says
// why it is no path, and is the answer where it is no member either.
func (a *app) whyNode(ctx context.Context, b control.Backend, args []string, err error) error {
	var e *node.Error
	if err != nil && (!errors.As(err, &e) || e.Exit != exitNotFound || len(args) == 0) {
		return err
	}
	m, none := b.Peer(ctx, a.pool, who(args[0]))
	switch {
	case none != nil && err != nil:
		return err
	case none != nil:
		return none
	case a.json:
		return a.object(withSchema([]node.Member{m})[0])
	}
	return a.print("%s\n%s%s", a.memberText(m), memberWhy(m), linkWhy(m.Link))
}

// memberWhy says in a sentence how a member stands.
func memberWhy(m node.Member) string {
	lacks := "lacks nothing"
	if m.MissingThere.Files > 0 {
		lacks = "still lacks " + amount(m.MissingThere)
		if m.State != "" {
			lacks += "; it last said that it is " + strings.ReplaceAll(m.State, "_", " ")
		}
	}
	switch {
	case m.Self:
		return "it is this node, and " + lacks
	case m.Paused:
		return `no files are exchanged with it until "meerkat resume"; it ` + lacks
	case m.Online && m.Link.Kind == "direct":
		return "it is reached directly, and " + lacks
	case m.Online:
		return "it is reached, though not directly, and " + lacks
	}
	return "it is not reached now; as far as is known it " + lacks
}

// linkWhy says why a link is not direct, on lines of its own.
func linkWhy(l node.Link) string {
	text := ""
	if l.Why != "" {
		text += "\n" + clean(l.Why)
	}
	if l.Hint != "" {
		text += "\nhint: " + clean(l.Hint)
	}
	return text
}

func (a *app) showWhy(w node.WhyInfo) error {
	if a.json {
		return a.object(w)
	}
	lines := []string{clean(w.Cause)}
	if w.Path != "" {
		lines = []string{a.paint(bold, shownPath(w.Path, w.PathB64)), clean(w.Cause)}
	}
	if w.Hint != "" {
		lines = append(lines, "hint: "+clean(w.Hint))
	}
	if err := a.print("%s", strings.Join(lines, "\n")); err != nil {
		return err
	}
	rows := make([][]string, 0, len(w.Members))
	for _, m := range w.Members {
		rows = append(rows, []string{clean(m.Name), a.holdText(m), strconv.Itoa(m.Percent) + " %", whySeen(m), clean(m.Message)})
	}
	if len(rows) == 0 {
		return nil
	}
	return a.table([]string{"MEMBER", "HAS IT", "SHARE", "SEEN", "WAITS FOR"}, rows)
}

func (a *app) holdText(m node.WhyMember) string {
	switch m.State {
	case node.HoldsAll:
		return a.paint(green, "has it")
	case node.HoldsPart:
		return a.paint(yellow, "part of it")
	case node.HoldsNone:
		return a.paint(yellow, "lacks it")
	case node.HoldsUnaware:
		return a.paint(yellow, "not told yet")
	case node.HoldsIgnores:
		return "ignores it"
	}
	return "unknown"
}

func whySeen(m node.WhyMember) string {
	switch {
	case m.Self:
		return "this node"
	case m.Online:
		return "online"
	case m.LastSeen == nil:
		return "never"
	}
	return ago(*m.LastSeen)
}
