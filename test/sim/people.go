package sim

import (
	"context"
	"errors"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// people has admins take members out of the pool, each by himself or two at once, and has some let in again. The first machine
// is never taken out.
func (w *World) people() error {
	switch n := w.folk.IntN(100); {
	case n < 8:
		w.expel(w.admin())
		if w.folk.IntN(100) < 30 {
			w.expel(w.admin())
		}
	case n < 20:
		for _, m := range w.machines {
			if w.out[m] && w.folk.IntN(2) == 0 {
				return w.readmit(m)
			}
		}
	}
	return nil
}

// admin is one of the two, if the second was ever made one; it may be none any more, and not know it.
func (w *World) admin() *Machine { return w.machines[w.folk.IntN(2)] }

// expel has by take somebody else out.
func (w *World) expel(by *Machine) {
	m := w.machines[1+w.folk.IntN(len(w.machines)-1)]
	if !by.On() || !w.in[m] || m == by {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := by.Node().PeerRemove(ctx, "", m.Name); err != nil {
		w.say("%s does not take %s out: %v", by.Name, m.Name, err)
		return
	}
	w.say("%s takes %s out", by.Name, m.Name)
	w.out[m] = true
	w.person.Forgotten(m) // what it took away beyond the cut does not count
}

// readmit has the first machine invite m, which was taken out, once more; nothing comes of it while m does not know that it is out.
func (w *World) readmit(m *Machine) error {
	first := w.machines[0]
	if !first.On() || !m.On() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tk, err := first.Node().Invite(ctx, node.InviteRequest{Role: "writer", Expires: time.Hour, Uses: 1})
	if err != nil {
		return err
	}
	_, err = m.Node().Join(ctx, node.JoinRequest{Ticket: tk.Ticket, Dir: m.Dir, Name: m.Name})
	w.say("%s joins again: %v", m.Name, err)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return joinTrouble(err)
}

// reunite lets all in again whom the first machine, which knows of all removals by then, does not count among the members.
func (w *World) reunite() error {
	for end := time.Now().Add(patience); ; time.Sleep(look) {
		missing, err := w.missing()
		if err != nil || len(missing) == 0 {
			return err
		}
		if time.Now().After(end) {
			return errors.New("members that were taken out do not come back")
		}
		for _, m := range missing {
			if err := w.readmit(m); err != nil {
				return err
			}
		}
	}
}

// missing are the machines that were taken out and are not back.
func (w *World) missing() (out []*Machine, err error) {
	all, err := w.machines[0].Node().Peers(context.Background(), "")
	if err != nil {
		return nil, err
	}
	in := map[string]bool{}
	for _, p := range all {
		in[p.Name] = true
	}
	for _, m := range w.machines {
		if w.out[m] && !in[m.Name] {
			out = append(out, m)
		}
	}
	return out, nil
}
