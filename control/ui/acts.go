package ui

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// invited is a new ticket with what a person does with it.
type invited struct {
	node.TicketInfo
	QR *code
}

func invite(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	hours, err := whole64(r, "hours", 1, 24*365)
	if err != nil {
		return nil, err
	}
	uses, err := whole64(r, "uses", 1, 1000)
	if err != nil {
		return nil, err
	}
	t, err := b.Invite(ctx, node.InviteRequest{
		Pool: r.FormValue("pool"), Role: r.FormValue("role"), Expires: time.Duration(hours) * time.Hour, Uses: int(uses),
	})
	if err != nil {
		return nil, err
	}
	q, err := newCode(t.Ticket)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "invited", Title: "Invite a machine", Data: invited{TicketInfo: t, QR: q}}, nil
}

// whole64 reads a number of a form.
func whole64(r *http.Request, field string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(r.FormValue(field)), 10, 64)
	if err != nil || n < least || n > most {
		return 0, &node.Error{
			Code: "bad_terms", Message: fmt.Sprintf("%s is not a number from %d to %d", field, least, most), Hint: "correct it", Exit: 2,
		}
	}
	return n, nil
}

func approve(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	m, err := b.Approve(ctx, r.FormValue("pool"), r.FormValue("member"), r.FormValue("role"))
	if err != nil {
		return nil, err
	}
	return done("Let in", m.Name+" is a "+m.Role+" now."), nil
}

func deny(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	if err := b.Deny(ctx, r.FormValue("member")); err != nil {
		return nil, err
	}
	return done("Refused", "It was told so."), nil
}

func resolve(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pool, path, err := place(r)
	if err != nil {
		return nil, err
	}
	keep := r.FormValue("keep")
	if b64 := r.FormValue("keep64"); b64 != "" { // a path, so that no file is taken for a member of its name
		if keep, err = decodePath(b64); err != nil {
			return nil, err
		}
	}
	i, err := b.Resolve(ctx, node.ResolveRequest{Pool: pool, Path: path, Keep: keep})
	if err != nil {
		return nil, err
	}
	return &panel{Name: "resolved", Title: "Settled", Tone: "good", Data: i}, nil
}

func restore(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pool, path, err := place(r)
	if err != nil {
		return nil, err
	}
	q := node.VersionRequest{Pool: pool, Path: path, Version: r.FormValue("version")}
	all, err := collect(mostVersions, func(f func(node.RestoreInfo) error) error { return b.Restore(ctx, q, f) })
	if err != nil {
		return nil, err
	}
	return &panel{Name: "restored", Title: "Restored", Tone: "good", Data: all}, nil
}

func decide(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	accept := r.FormValue("accept") == "yes"
	if err := b.DecideHeld(ctx, node.HeldRequest{Pool: r.FormValue("pool"), ID: r.FormValue("id"), Accept: accept}); err != nil {
		return nil, err
	}
	if accept {
		return done("Accepted", "The change goes on to all members."), nil
	}
	return done("Rejected", "What was there is brought back."), nil
}

func pause(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	hours, err := whole64(r, "hours", 0, 24*365)
	if err != nil {
		return nil, err
	}
	q := node.PauseRequest{Pool: r.FormValue("pool"), Member: r.FormValue("member"), For: time.Duration(hours) * time.Hour}
	all, err := b.Pause(ctx, q)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "paused", Title: "Paused", Data: all}, nil
}

func resume(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	if _, err := b.Resume(ctx, node.PauseRequest{Pool: r.FormValue("pool"), Member: r.FormValue("member")}); err != nil {
		return nil, err
	}
	return done("Going on", "The pause is over."), nil
}

func scan(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	pool, path, err := place(r)
	if err == nil {
		err = b.Scan(ctx, pool, path)
	}
	if err != nil {
		return nil, err
	}
	return done("Looked", "What had changed in the folder is published."), nil
}

// set writes a setting; an empty form takes it out of the file.
func set(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	values := strings.Fields(r.FormValue("value"))
	if r.FormValue("key") == "name" && len(values) > 0 {
		values = []string{strings.TrimSpace(r.FormValue("value"))}
	}
	if len(values) == 0 {
		values = nil
	}
	i, err := b.SetSetting(ctx, r.FormValue("key"), values)
	if err != nil {
		return nil, err
	}
	return &panel{Name: "set", Title: "Written", Tone: "good", Data: i}, nil
}

func addRule(ctx context.Context, b control.Backend, r *http.Request) (*panel, error) {
	q := node.RuleRequest{Pool: r.FormValue("pool"), Pattern: r.FormValue("pattern"), Local: r.FormValue("local") != ""}
	if err := b.AddRule(ctx, q); err != nil {
		return nil, err
	}
	return done("Ignored from now on", q.Pattern), nil
}
