package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

const (
	maxStreams = 32
	livePause  = 500 * time.Millisecond // between two renewals
	beatPause  = 15 * time.Second       // between signs of life
)

// liveParts are the templates of the page that renew themselves.
var liveParts = []string{"state", "needs", "pools", "changes"}

// live keeps an open page fresh: each part that changed is sent again, and
// "say" carries what a person should notice.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	if !s.door.stream(1) {
		http.Error(w, "Too many open pages.", http.StatusServiceUnavailable)
		return
	}
	defer s.door.stream(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	l := &stream{w: w, ctl: http.NewResponseController(w), sent: map[string][]byte{}, welcome: func() bool { return s.loggedIn(r) }}
	err := l.follow(r.Context(), s)
	if err != nil && r.Context().Err() == nil {
		s.conf.Log.Debug("dashboard: an open page", "err", err)
	}
}

// stream is one open page.
type stream struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	sent map[string][]byte
	last *node.Status

	welcome func() bool // its session goes on
}

// follow sends until ctx ends or the page is gone. Statuses that come faster
// than they are sent are skipped, never queued.
func (l *stream) follow(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	newest, ended := make(chan node.Status, 1), make(chan error, 1)
	go func() {
		ended <- s.b.Watch(ctx, func(st node.Status) error {
			select {
			case <-newest:
			default:
			}
			newest <- st // the only sender, and there is room
			return nil
		})
	}()
	err := l.feed(ctx, s, newest, ended)
	cancel()
	<-ended
	return err
}

func (l *stream) feed(ctx context.Context, s *Server, newest <-chan node.Status, ended chan error) error {
	beat := time.NewTicker(beatPause)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- err
			return err
		case <-beat.C:
			err = l.send("beat", nil)
		case st := <-newest:
			if err = l.renew(ctx, s, st); err == nil && !wait(ctx, livePause) {
				return nil
			}
		}
		if err != nil || !l.welcome() {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// renew sends the parts that differ from what was sent last.
func (l *stream) renew(ctx context.Context, s *Server, st node.Status) error {
	v, err := s.look(ctx, st)
	if err != nil {
		s.conf.Log.Debug("dashboard: a part of the page", "err", err)
	}
	for _, part := range liveParts {
		text, err := rendered(part, v)
		if err != nil {
			return err
		}
		if old, ok := l.sent[part]; ok && bytes.Equal(old, text) {
			continue
		}
		l.sent[part] = text
		if err := l.send(part, text); err != nil {
			return err
		}
	}
	if l.last != nil {
		for _, line := range news(*l.last, st) {
			text, err := rendered("toast", line)
			if err := errors.Join(err, l.send("say", text)); err != nil {
				return err
			}
		}
	}
	l.last = &st
	return nil
}

// send writes one event. A page that does not read loses the connection.
func (l *stream) send(name string, text []byte) error {
	if err := l.ctl.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	data := strings.ReplaceAll(string(text), "\n", "\ndata: ")
	if _, err := fmt.Fprintf(l.w, "event: %s\ndata: %s\n\n", name, data); err != nil {
		return err
	}
	return l.ctl.Flush()
}

// news is what a person should notice between two statuses.
func news(old, now node.Status) (lines []string) {
	was := map[string]node.PoolStatus{}
	for _, p := range old.Pools {
		was[p.ID] = p
	}
	for _, p := range now.Pools {
		o, known := was[p.ID]
		name := control.Clean(p.Name)
		switch {
		case !known:
			lines = append(lines, "The pool "+name+" is here.")
			continue
		case o.State != p.State && p.State == node.StateHalted:
			lines = append(lines, name+" is halted.")
		case o.State != p.State && p.State == node.StateInSync:
			lines = append(lines, name+" is in sync.")
		}
		lines = append(lines, memberNews(o, p)...)
		if p.Conflicts > o.Conflicts {
			lines = append(lines, "There is a new conflict in "+name+".")
		}
		if p.Requests > o.Requests {
			lines = append(lines, "Somebody asks to join "+name+".")
		}
	}
	return lines
}

func memberNews(old, now node.PoolStatus) (lines []string) {
	was := map[string]node.Member{}
	for _, m := range old.Members {
		was[m.ID] = m
	}
	for _, m := range now.Members {
		o, known := was[m.ID]
		switch {
		case !known:
			lines = append(lines, control.Clean(m.Name)+" joined "+control.Clean(now.Name)+".")
		case m.Online && !o.Online:
			lines = append(lines, control.Clean(m.Name)+" is online.")
		case !m.Online && o.Online:
			lines = append(lines, control.Clean(m.Name)+" is offline.")
		}
	}
	return lines
}
