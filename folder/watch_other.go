//go:build !linux

package folder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/bwaklog/meerkat/event"
)

// session is one fsnotify watcher. It does not tell when a file is closed, so written files always rest a while.
type session struct {
	*Watcher
	n     *fsnotify.Watcher
	t     tree
	lost  int
	why   string
	root  string
	rules *Ignore // that the watches follow
}

// mark cannot be made: the systems give no sign of how far their news has come.
func (s *session) mark() <-chan struct{} { return nil }

// session watches until ctx ends or the root is lost.
func (w *Watcher) session(ctx context.Context) error {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	s := &session{Watcher: w, n: n, t: w.f.tree(), root: w.f.path}
	defer s.begin(s)()
	err = s.watch(ctx)
	return errors.Join(err, n.Close())
}

func (s *session) watch(ctx context.Context) error {
	if err := s.rewatch(); err != nil {
		return err
	}
	tick := time.NewTicker(s.c.Rescan)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-s.n.Events:
			err = s.event(e)
		case <-s.n.Errors: // an overflow, or something like it
			err = s.rewatch()
		case <-tick.C:
			if s.lost > 0 {
				err = s.rewatch()
			}
		}
		if err != nil {
			return err
		}
	}
}

// rewatch watches every directory, and calls everything dirty.
func (s *session) rewatch() error {
	if _, _, err := s.f.rules.reload(s.f.fs, new(int)); err != nil {
		return err // without the rules everything would be watched
	}
	s.lost, s.why, s.rules = 0, "", s.f.rules.now.Load()
	if err := s.add(""); err != nil {
		return fmt.Errorf("%w: %w", errRootLost, err)
	}
	s.below("")
	s.report()
	s.all()
	return nil
}

func (s *session) report() {
	s.set(WatchStatus{Watches: len(s.n.WatchList()), Unwatched: s.lost, Degraded: s.lost > 0, Reason: s.why})
}

func (s *session) add(dir event.Path) error {
	if s.c.MaxWatches > 0 && len(s.n.WatchList()) >= s.c.MaxWatches {
		return errors.New("the limit of watches that is set for this folder is reached")
	}
	return s.n.Add(filepath.Join(s.root, filepath.FromSlash(string(dir))))
}

// below watches the directories in dir.
func (s *session) below(dir event.Path) {
	var l listing
	if s.t.list(dir, &l) != nil {
		return // a scan reports it
	}
	for _, e := range l.entries {
		p := child(dir, e.name)
		if hide, _ := s.rules.one(string(p), true); hide || e.stat.Mode&modeType != modeDir {
			continue
		}
		if err := s.add(p); err != nil {
			s.lost++
			s.why = whyUnwatched(err)
			continue
		}
		s.below(p)
	}
}

func (s *session) event(e fsnotify.Event) error {
	rel, err := filepath.Rel(s.root, e.Name)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil //nolint:nilerr // not ours
	}
	if rel == "." {
		if e.Has(fsnotify.Remove | fsnotify.Rename) {
			return errRootLost
		}
		return nil
	}
	p := event.Path(filepath.ToSlash(rel))
	if p.Under(metaDir) {
		return nil
	}
	if p == metaDir {
		s.all() // the marker may have gone with it: a scan asks the guards
		return nil
	}
	if s.rulesMoved(p, s.rules) {
		return s.rewatch()
	}
	st, err := s.t.lstat(p)
	dir := err == nil && st.Mode&modeType == modeDir
	if hide, _ := s.rules.Match(p, dir); hide {
		return nil
	}
	s.sort(p, dir, e.Op)
	return nil
}

func (s *session) sort(p event.Path, dir bool, op fsnotify.Op) {
	switch {
	case dir && op.Has(fsnotify.Create):
		if s.add(p) == nil {
			s.below(p)
		}
		s.report()
		s.done(p, true)
	case op.Has(fsnotify.Remove), op.Has(fsnotify.Rename), dir:
		s.done(p, false)
	case op.Has(fsnotify.Create), op.Has(fsnotify.Write):
		s.note(func(q *pending, now time.Time) { q.writing(p, now) })
	default:
		s.note(func(q *pending, now time.Time) { q.attrib(p, now) })
	}
}
