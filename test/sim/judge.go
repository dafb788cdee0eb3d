package sim

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// judge waits for the folders to be equal, and then looks whether they are right, and stay so.
func (w *World) judge() error {
	if why := w.await(patience); why != "" {
		return fmt.Errorf("the folders are not equal after %v:\n%s%s", patience, why, w.wanting())
	}
	w.say("all are equal")
	time.Sleep(calm)
	if why := w.await(2 * calm); why != "" {
		return fmt.Errorf("the folders did not stay equal:\n%s", why)
	}
	t, err := ReadTree(w.machines[0].Dir)
	if err != nil {
		return err
	}
	if wrong := w.model.Check(t); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n") + w.stories(t, wrong))
	}
	return nil
}

// stories tells of each path that something is wrong with what its events say.
func (w *World) stories(t Tree, wrong []string) string {
	var b strings.Builder
	for p := range t {
		if strings.HasPrefix(strings.Join(wrong, "\n"), p+" holds") || strings.Contains(strings.Join(wrong, "\n"), "\n"+p+" holds") {
			b.WriteString("\n" + p)
			w.story(&b, w.machines[0], p)
		}
	}
	return b.String()
}

// story writes what m's log says of a path.
func (w *World) story(b *strings.Builder, m *Machine, p string) {
	_ = m.Node().Log(context.Background(), node.LogRequest{Path: p}, func(c node.ChangeInfo) error {
		fmt.Fprintf(b, "\n\t%s %s %s %d bytes", c.Time.Format("04:05.000"), c.ByName, c.Action, c.Size)
		return nil
	})
}

// await waits until all are equal and at rest, and says why they are not where that takes too long. Content that nobody
// has any more may be wanted for ever: its last holder has overwritten or deleted it after it was told of. Whether it was
// rightly given up is the model's to say.
func (w *World) await(patience time.Duration) string {
	end, since := time.Now().Add(patience), time.Time{}
	for {
		why, lacking := w.unequal()
		switch {
		case why == "" || time.Now().After(end):
			return why
		case !lacking:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > calm:
			w.say("nobody has any more what is wanted")
			return ""
		}
		time.Sleep(look)
	}
}

// unequal says how the folders, or what the nodes say of them, differ; "" where they do not. lacking: in
// nothing but that all want content.
func (w *World) unequal() (why string, lacking bool) {
	first, err := ReadTree(w.machines[0].Dir)
	if err != nil {
		return err.Error(), false
	}
	var out []string
	root := ""
	lacking = true
	for _, m := range w.machines {
		t, err := ReadTree(m.Dir)
		if err != nil {
			return err.Error(), false
		}
		for p, line := range first.Diff(t) {
			lacking = lacking && w.waits(m, p)
			out = append(out, w.machines[0].Name+" and "+m.Name+": "+line)
		}
		p, err := m.pool()
		if err != nil {
			return err.Error(), false
		}
		if root == "" {
			root = p.Root
		}
		lacking = lacking && p.Root == root && p.WantedHere.Files > 0 && p.State == "fetching" && w.isWaiting(m, "")
		if p.Root != root || p.State != "in_sync" {
			out = append(out, fmt.Sprintf("%s is %s %s at %.8s, wants %d, problems %+v, notices %v",
				m.Name, p.State, p.HaltedWhy, p.Root, p.WantedHere.Files, p.Problems, p.Notices))
		}
	}
	return strings.Join(out, "\n"), lacking
}

// waits reports whether what stands at p, or above it, waits on m for content: until that comes, what was there before stays.
func (w *World) waits(m *Machine, p string) bool {
	for ; p != "."; p = path.Dir(p) {
		if w.isWaiting(m, p) {
			return true
		}
	}
	return false
}

func (w *World) isWaiting(m *Machine, p string) bool {
	i, err := m.Node().Why(context.Background(), "", p)
	return err == nil && i.State == "waiting"
}

// wanting tells of each machine's first path that waits, and why.
func (w *World) wanting() string {
	var b strings.Builder
	for _, m := range w.machines {
		i, err := m.Node().Why(context.Background(), "", "")
		fmt.Fprintf(&b, "\n%s: %s is %s: %s, %d bytes by %s, %v", m.Name, i.Path, i.State, i.Cause, i.Size, i.ByName, err)
		w.story(&b, m, i.Path)
	}
	return b.String()
}

// pool is what the node says of its pool.
func (m *Machine) pool() (node.PoolStatus, error) {
	s, err := m.Node().Status(context.Background())
	if err != nil {
		return node.PoolStatus{}, err
	}
	if len(s.Pools) != 1 {
		return node.PoolStatus{}, fmt.Errorf("%s has %d pools, joins %d", m.Name, len(s.Pools), len(s.Joining))
	}
	return s.Pools[0], nil
}
