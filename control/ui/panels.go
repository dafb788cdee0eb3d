package ui

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

const mostVersions = 100

// maker makes the panel that answers a request.
type maker func(ctx context.Context, b control.Backend, r *http.Request) (*panel, error)

// panels are the questions that the page can ask and the acts that it can do.
var panels = map[string]maker{
	"GET /why":       why,
	"GET /versions":  versions,
	"GET /ignored":   ignored,
	"GET /invite":    inviteForm,
	"GET /setting":   settingForm,
	"POST /invite":   invite,
	"POST /approve":  approve,
	"POST /deny":     deny,
	"POST /resolve":  resolve,
	"POST /restore":  restore,
	"POST /held":     decide,
	"POST /pause":    pause,
	"POST /resume":   resume,
	"POST /scan":     scan,
	"POST /setting":  set,
	"POST /rule":     addRule,
	"POST /netcheck": netcheck,
}

// panel answers with what make makes, or with what went wrong.
func (s *Server) panel(make maker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout-writeTimeout/10)
		defer cancel()
		if err := r.ParseForm(); err != nil {
			s.answer(w, r, http.StatusBadRequest, failed(&node.Error{Code: "bad_request", Message: "the form cannot be read", Exit: 2, Err: err}))
			return
		}
		p, err := make(ctx, s.b, r)
		if err != nil {
			e := control.Flat(err)
			s.answer(w, r, statusOf(e), failed(e))
			return
		}
		s.answer(w, r, http.StatusOK, p)
	})
}

func failed(e *node.Error) *panel {
	return &panel{Name: "error", Title: "That did not work", Tone: "bad", Data: control.Flat(e)}
}

// done is the panel of an act that has nothing more to show.
func done(title, text string) *panel {
	return &panel{Name: "done", Title: title, Tone: "good", Data: text}
}

// place is the path that a form means, as bytes, and its pool.
func place(r *http.Request) (pool, path string, err error) {
	pool, path = r.FormValue("pool"), r.FormValue("path")
	if b64 := r.FormValue("p64"); b64 != "" {
		path, err = decodePath(b64)
	}
	return pool, path, err
}

func decodePath(b64 string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(b64)
	if err != nil {
		return "", &node.Error{Code: "bad_path", Message: "the path in the form cannot be read", Exit: 2, Err: err}
	}
	return string(b), nil
}

func why(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pool, path, err := place(r)
	if err != nil {
		return nil, err
	}
	w, err := b.Why(ctx, pool, path)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "why", Title: "Why", Data: w}, nil
}

// listed is what stood at a path.
type listed struct {
	Pool, Path string
	Versions   []node.FileVersion
	More       bool
}

func versions(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pool, path, err := place(r)
	if err != nil {
		return nil, err
	}
	all, err := collect(mostVersions+1, func(f func(node.FileVersion) error) error { return b.Versions(ctx, pool, path, f) })
	if err != nil {
		return nil, err
	}
	l := listed{Pool: pool, Path: path, Versions: all[:min(len(all), mostVersions)], More: len(all) > mostVersions}
	return &panel{Name: "versions", Title: "Versions", Data: l}, nil
}

func ignored(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pool, path, err := place(r)
	if err != nil {
		return nil, err
	}
	i, err := b.Ignored(ctx, pool, path)
	if err != nil {
		return nil, err
	}
	rules, err := b.Rules(ctx, pool)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "ignored", Title: "Is it ignored?", Data: struct {
		node.IgnoredInfo
		Pool  string
		Rules []node.RuleInfo
	}{i, pool, rules}}, nil
}

func inviteForm(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pools, err := b.Pools(ctx)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "invite", Title: "Invite a machine", Data: struct {
		Pool  string
		Pools []node.PoolInfo
	}{r.FormValue("pool"), pools}}, nil
}

func settingForm(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	key := r.FormValue("key")
	all, err := b.SettingList(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Key == key {
			return &panel{Name: "setting", Title: "Change a setting", Data: s}, nil
		}
	}
	return nil, &node.Error{Code: "config_bad", Message: "there is no setting " + cmp.Or(key, "without a name"), Exit: 2}
}

func netcheck(ctx context.Context, b control.Backend, _ *http.Request) (*panel, error) {
	n, err := b.Netcheck(ctx)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "netcheck", Title: "This network", Data: n}, nil
}
