package ui

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

//go:embed templates
var sources embed.FS

var pages = template.Must(template.New("").Funcs(words).ParseFS(sources, "templates/*.html"))

// show writes a template as the whole answer, or an error where it fails: never
// half a page.
func (s *Server) show(_ context.Context, w http.ResponseWriter, status int, name string, data any) {
	text, err := rendered(name, data)
	if err != nil {
		s.conf.Log.Error("dashboard", "template", name, "err", err)
		http.Error(w, "The page could not be made; the node's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a caller that hung up gets no answer
}

func rendered(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := pages.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}

// whole is all that the page is made of.
type whole struct {
	View   view
	Upkeep upkeep
	Panel  *panel
	Live   []string // the parts that renew themselves
	Gaps   *node.Error
}

// panel is an answer that stands before the page: a form, or what became of one.
type panel struct {
	Name  string // of its template
	Title string
	Data  any
	Tone  string
}

// HTML is the panel's body.
func (p *panel) HTML() (template.HTML, error) {
	b, err := rendered("panel-"+p.Name, p.Data)
	return template.HTML(b), err //nolint:gosec // it comes from a template that has escaped it
}

// page is the one page there is.
func (s *Server) page(w http.ResponseWriter, r *http.Request) { s.pageWith(w, r, http.StatusOK, nil) }

func (s *Server) pageWith(w http.ResponseWriter, r *http.Request, status int, p *panel) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	st, err := s.b.Status(ctx)
	if err != nil {
		http.Error(w, "The node does not answer: "+control.Flat(err).Message, http.StatusBadGateway)
		return
	}
	all := whole{Panel: p, Live: liveParts}
	var gaps, more error
	all.View, gaps = s.look(ctx, st)
	all.Upkeep, more = s.upkeep(ctx)
	if gaps == nil {
		gaps = more
	}
	if gaps != nil {
		all.Gaps = control.Flat(gaps)
	}
	s.show(ctx, w, status, "page", all)
}

// answer shows a panel: by itself to a script, on the page to everybody else.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, status int, p *panel) {
	if r.Header.Get("HX-Request") == "" {
		s.pageWith(w, r, status, p)
		return
	}
	s.show(r.Context(), w, status, "panel", p)
}

// statusOf is the HTTP status of an error.
func statusOf(e *node.Error) int {
	switch {
	case strings.HasPrefix(e.Code, "no_"):
		return http.StatusNotFound
	case e.Exit == 2:
		return http.StatusBadRequest
	case e.Exit == 5:
		return http.StatusForbidden
	case e.Exit == 6:
		return http.StatusGatewayTimeout
	case e.Exit == 10:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}
