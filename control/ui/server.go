package ui

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

const (
	maxBody      = 64 << 10 // bytes of a form
	callTimeout  = 30 * time.Second
	readTimeout  = 15 * time.Second
	writeTimeout = 30 * time.Second
)

// Config says whom a dashboard serves, and where. Backend is required; without
// a Listener there is no dashboard, and Link says so. Access gives the
// password's hash ("" is none) and the names, besides addresses, that the
// dashboard may be called by; it is asked at each request and may be nil.
type Config struct {
	Backend  control.Backend
	Listener net.Listener
	Access   func() (password string, hosts []string)
	Log      *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Access == nil {
		c.Access = func() (string, []string) { return "", nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is one dashboard.
type Server struct {
	conf Config
	b    control.Backend
	door *door
	past *past
}

// New makes a dashboard that answers nobody yet.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	if c.Backend == nil {
		return nil, errors.New("ui: no backend")
	}
	s := &Server{conf: c, b: c.Backend, door: newDoor(), past: newPast(c.Backend)}
	if c.Listener != nil {
		_, port, _ := net.SplitHostPort(c.Listener.Addr().String()) // as TCP's addresses are
		s.door.name += port
	}
	return s, nil
}

// Serve answers the callers of the listener until ctx ends; then it ends their
// calls, waits for them (at most a second) and closes the listener. It blocks,
// and returns nil after a stop by ctx, and where there is no listener.
func (s *Server) Serve(ctx context.Context) error {
	l := s.conf.Listener
	if l == nil {
		return nil
	}
	h := &http.Server{
		Handler:           s.handler(isLoopback(l.Addr())),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(s.conf.Log.Handler(), slog.LevelDebug),
	}
	return control.ServeUntil(ctx, h, l)
}

// Link gives an address that opens the dashboard once, without a password.
func (s *Server) Link() (control.DashboardInfo, error) {
	if s.conf.Listener == nil {
		return control.DashboardInfo{}, &node.Error{
			Code: "ui_off", Message: "this node serves no dashboard",
			Hint: `"meerkat config get ui.addr" says where it should be; the node's log says why it is not`,
		}
	}
	at := reachable(s.conf.Listener.Addr())
	code, until := s.door.code(time.Now())
	return control.DashboardInfo{
		Schema: control.SchemaDashboard, Addr: at, Expires: until.UTC(), URL: "http://" + at + "/login?code=" + code,
	}, nil
}

// reachable is how this machine itself calls an address that is listened on.
func reachable(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	host := t.IP.String()
	if t.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(t.Port))
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// handler is every door there is. Below /static/ lies nothing that a stranger
// may not see; all the rest is for those who are logged in.
func (s *Server) handler(local bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", static())
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("POST /login", s.loginByPassword)
	mux.HandleFunc("POST /logout", s.logout)
	for pattern, f := range map[string]http.HandlerFunc{
		"GET /{$}":  s.page,
		"GET /live": s.live,
	} {
		mux.Handle(pattern, s.members(f))
	}
	for pattern, make := range panels {
		mux.Handle(pattern, s.members(s.panel(make)))
	}
	return guard{local: local, hosts: s.hosts}.of(mux)
}

func (s *Server) hosts() []string {
	_, hosts := s.conf.Access()
	return hosts
}
