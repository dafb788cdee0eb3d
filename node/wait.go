package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

const (
	waitPoll    = 50 * time.Millisecond
	waitStuck   = 10 * time.Second       // in which only what nobody has is found missing, before that is told
	waitAgain   = 250 * time.Millisecond // between two rounds of asking
	meetMost    = 3 * time.Second        // for members that are not online to answer
	answerMost  = 10 * time.Second
	catchUpMost = time.Second // for the news of the kernel to be taken
	maxAsks     = 16          // at once
)

// Wait blocks until this node and every member online want nothing more, in one
// pool or, for "", in all: all that was changed before the call, here and there,
// is on every disk. Members that are not online get a moment to come.
func (n *Node) Wait(ctx context.Context, pool string) error {
	rs, err := n.named(pool)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.watchTrouble() != "" {
			r.markAll() // changes may not have been noticed
		}
	}
	n.links.meet(ctx, n.wanted(), meetMost)
	stuck := time.Time{}
	for {
		if rs, err = n.named(pool); err != nil {
			return err
		}
		why, asked := n.restless(ctx, rs)
		if why == "" {
			return nil
		}
		text := stuckText(rs)
		switch {
		case text == "":
			stuck = time.Time{}
		case stuck.IsZero():
			stuck = time.Now()
		case time.Since(stuck) > waitStuck:
			return &Error{Code: reasonNobody, Message: text, Hint: lostHint, Exit: exitAttention}
		}
		pause := waitPoll
		if asked {
			pause = waitAgain
			n.links.meet(ctx, n.wanted(), meetMost) // who gave no answer may have come by another link
		}
		if !sleep(ctx, pause) {
			return &Error{
				Code: "timeout", Message: "not in sync yet (" + why + ")",
				Hint: `"meerkat status" shows what is waiting`, Exit: 6,
			}
		}
	}
}

// named are the replicas that a name means: one of them, or all for "". A pool
// that is being joined is not there yet.
func (n *Node) named(pool string) ([]*replica, error) {
	if pool == "" {
		return n.all(), nil
	}
	r, err := n.pick(pool)
	if err != nil {
		return nil, err
	}
	return []*replica{r}, nil
}

// restless says what still moves, or "". Where nothing does as far as this node
// knows, it asks the members that are online.
func (n *Node) restless(ctx context.Context, rs []*replica) (why string, asked bool) {
	catchUp(ctx, rs)
	if why := n.unrest(rs); why != "" {
		return why, false
	}
	for _, r := range rs {
		if why := r.ask(ctx); why != "" {
			return r.name() + ": " + why, true
		}
	}
	return n.unrest(rs), true
}

// catchUp has all changes noticed that were made to the folders before.
func catchUp(ctx context.Context, rs []*replica) {
	ctx, cancel := context.WithTimeout(ctx, catchUpMost)
	defer cancel()
	for _, r := range rs {
		r.catchUp(ctx)
	}
}

func (r *replica) catchUp(ctx context.Context) {
	r.mu.Lock()
	w := r.watcher
	r.mu.Unlock()
	if w != nil {
		_ = w.CatchUp(ctx) // a watcher that is behind has something pending
	}
}

// ask compares with every member that is online, so that what is known of each
// is as of now; it says who gave no answer, or "".
func (r *replica) ask(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, answerMost)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsks)
	for _, m := range r.st.Roster().Members() {
		if m.ID == r.self || !r.links.online(m.ID) {
			continue
		}
		g.Go(func() error {
			if err := r.feed.Repair(ctx, r.id, m.ID); unanswered(err) {
				return fmt.Errorf("%s does not answer", m.Name)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err.Error()
	}
	return ""
}

// unanswered reports whether err, of a comparison, means that the member has
// not said how things stand with it. One that does not speak of the pool is not
// waited for, nor is one whose changes are refused.
func unanswered(err error) bool {
	return err != nil && !errors.Is(err, pubsub.ErrNotMember) && !errors.Is(err, pubsub.ErrRemoved) && !errors.Is(err, pubsub.ErrRejected)
}

// stuckText says what is lost in a pool where nothing else is still to come, or "".
func stuckText(rs []*replica) string {
	for _, r := range rs {
		files, _ := r.st.NeedTotal()
		if lost, whole := r.lost(); whole && len(lost) > 0 && (int64(len(lost)) == files || len(lost) == lostMost) {
			return r.name() + ": " + lostText(lost)
		}
	}
	return ""
}

// unrest says what still moves as far as this node knows, or "".
func (n *Node) unrest(rs []*replica) string {
	for _, p := range n.joiner.pending() {
		return "still joining into " + p.Path
	}
	for _, p := range n.regain.open() {
		return "waiting for a member to give the pool in " + p.Path + " again"
	}
	for _, r := range rs {
		if why := r.unrest(); why != "" {
			return r.name() + ": " + why
		}
	}
	return ""
}

// unrest keeps to the order of facts0.
func (r *replica) unrest() string {
	busy := r.working()
	heads := r.Heads()
	if f := r.facts0(); busy || f.busy() {
		return r.why(f)
	}
	for _, m := range r.st.Roster().Members() {
		if m.ID == r.self {
			continue
		}
		if !r.links.online(m.ID) {
			if r.links.untried(m.ID) {
				return "looking for " + m.Name
			}
			continue
		}
		rep := r.reports.get(m.ID)
		if why := restless(rep, heads, r.claims.credible(m.ID, rep, heads, time.Now())); why != "" {
			return m.Name + " " + why
		}
	}
	return ""
}

// busy reports whether something is to be done here.
func (f facts) busy() bool {
	return f.halted != "" || !f.started || f.scanning || f.wanted.Files > 0 || f.applying || f.unsettled > 0
}

// why says what is to be done here.
func (r *replica) why(f facts) string {
	switch {
	case f.halted != "":
		return "halted: " + f.halted
	case f.wanted.Files > 0:
		lost, _ := r.lost()
		if text := lostText(lost); text != "" {
			return fmt.Sprintf("%d files are still to come; %s", f.wanted.Files, text)
		}
		return fmt.Sprintf("%d files are still to come", f.wanted.Files)
	case f.applying || f.unsettled > 0:
		return "changes are being applied"
	}
	return "looking at the folder"
}

// restless says what a member that is online still has to do, or ""; ahead
// says whether it is believed to know more than heads.
func restless(rep *report, heads []event.Head, ahead bool) string {
	switch {
	case rep == nil || rep.Leaving:
		return "has not said what it has"
	case !rep.covers(heads):
		return "does not know the newest changes"
	case ahead:
		return "knows changes that are not here yet"
	case rep.Wanted.Files > 0:
		return fmt.Sprintf("still lacks %d files", rep.Wanted.Files)
	case rep.Busy:
		return "is looking at its folder"
	}
	return ""
}
