package ui

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

const (
	mostListed = 20  // conflicts, held changes and problems of a pool that are shown at once
	mostLogged = 200 // lines of the log
)

// view is what the page shows at one moment.
type view struct {
	node.Status
	Now       time.Time
	Pools     []poolView
	Requests  []node.RequestInfo
	Conflicts []conflictView
	Held      []node.HeldInfo
	Changes   []changeView
	Several   bool // pools, so that a change says which is meant
}

// poolView is a pool with what is derived from its state.
type poolView struct {
	node.PoolStatus
	Bar     *bar
	Members []memberView
	Admin   bool
}

// bar is how far a piece of work is. Max 0: nobody knows yet.
type bar struct {
	Label      string
	Value, Max int64
	Rate       int64         // bytes per second
	Left       time.Duration // 0: not known
}

type memberView struct {
	node.Member
	Lag *bar // nil where it has everything
}

type conflictView struct {
	node.ConflictInfo
	Title string
}

// shown makes the view of a status.
func shown(s node.Status, now time.Time) view {
	v := view{Status: s, Now: now, Several: len(s.Pools) > 1}
	for _, p := range s.Pools {
		v.Pools = append(v.Pools, showPool(p, s.Transfer))
	}
	return v
}

func showPool(p node.PoolStatus, t node.Transfer) poolView {
	v := poolView{PoolStatus: p, Bar: poolBar(p, t), Admin: p.Role == "admin"}
	for _, m := range p.Members {
		v.Members = append(v.Members, memberView{m, lag(m, p)})
	}
	return v
}

// poolBar is the work under way in a pool, or nil.
func poolBar(p node.PoolStatus, t node.Transfer) *bar {
	g := p.Progress
	if g == nil {
		return nil
	}
	b := &bar{Label: "Fetching", Value: g.DoneBytes, Max: g.TotalBytes, Rate: t.RateIn}
	if g.Kind == "index" {
		b.Label, b.Rate = "Looking through the folder", 0
	}
	if g.TotalBytes == 0 {
		b.Value, b.Max = g.DoneFiles, g.TotalFiles
	}
	b.Value = min(b.Value, b.Max)
	if left := g.TotalBytes - g.DoneBytes; b.Rate > 0 && left > 0 {
		b.Left = time.Duration(float64(left) / float64(b.Rate) * float64(time.Second)).Round(time.Second)
	}
	return b
}

// lag is how much of the pool another member has, where it lacks something.
func lag(m node.Member, p node.PoolStatus) *bar {
	if m.MissingThere.Files == 0 && m.MissingThere.Bytes == 0 || m.Self {
		return nil
	}
	have, all := p.Bytes-m.MissingThere.Bytes, p.Bytes
	if m.MissingThere.Bytes == 0 {
		have, all = p.Files-m.MissingThere.Files, p.Files
	}
	return &bar{Label: control.Clean(m.Name) + " has", Value: max(have, 0), Max: max(all, 1)}
}

// look asks the backend for all that the page shows besides the status. What
// cannot be had is left out of the page, and told.
func (s *Server) look(ctx context.Context, st node.Status) (view, error) {
	v := shown(st, time.Now())
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	var err error
	v.Requests, err = s.b.Requests(ctx)
	note(err)
	for _, p := range st.Pools {
		if p.Conflicts > 0 {
			all, err := conflictsOf(ctx, s.b, p.ID)
			v.Conflicts = append(v.Conflicts, all...)
			note(err)
		}
		if p.Held > 0 {
			held, err := s.b.Held(ctx, p.ID)
			v.Held = append(v.Held, held[:min(len(held), mostListed)]...)
			note(err)
		}
	}
	v.Changes, err = s.past.recent(ctx, st.Pools)
	note(err)
	return v, errors.Join(errs...)
}

// errEnough ends a stream of which enough was seen.
var errEnough = errors.New("enough")

// collect gathers at most most answers of a stream.
func collect[T any](most int, stream func(func(T) error) error) ([]T, error) {
	var out []T
	err := stream(func(v T) error {
		if len(out) == most {
			return errEnough
		}
		out = append(out, v)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

func conflictsOf(ctx context.Context, b control.Backend, pool string) ([]conflictView, error) {
	all, err := collect(mostListed, func(f func(node.ConflictInfo) error) error { return b.Conflicts(ctx, pool, "", f) })
	out := make([]conflictView, len(all))
	for i, c := range all {
		out[i] = conflictView{c, cmp.Or(c.KeptByName, "nobody") + " and " + c.ByName}
	}
	return out, err
}

// upkeep is the part of the page that is made once, when it is opened.
type upkeep struct {
	Settings []node.SettingInfo
	Net      node.NetInfo
	Logs     []control.LogLine
}

func (s *Server) upkeep(ctx context.Context) (upkeep, error) {
	var u upkeep
	var errs [3]error
	u.Settings, errs[0] = s.b.SettingList(ctx)
	u.Net, errs[1] = s.b.Netcheck(ctx)
	u.Logs, errs[2] = s.lastLogs(ctx)
	return u, errors.Join(errs[:]...)
}

// lastLogs are the newest lines of the log, the newest first.
func (s *Server) lastLogs(ctx context.Context) ([]control.LogLine, error) {
	var all []control.LogLine
	err := s.b.Logs(ctx, func(l control.LogLine) error { all = append(all, l); return nil })
	all = all[max(0, len(all)-mostLogged):]
	slices.Reverse(all)
	return all, err
}
