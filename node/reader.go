package node

import (
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// reasonLocal is why what was edited here is not put back: this node's role may
// not change the pool, and the pool has not changed the path since.
const reasonLocal = store.Local

const textLocal = "changed here, but this node's role may not change the pool; the edit stays here, and moves to .meerkat/versions when the pool changes the path"

// refuse keeps local edits of a node that may not write out of the pool. The
// index takes them as what lies here. An edit stays until the pool changes the
// path; one of something that the pool has changed already gives way, and is
// kept as a version. It gives what may be committed, and why what waits.
func (r *replica) refuse(changes []change) ([]change, map[event.Path]store.Reason, error) {
	kept := changes[:0:0]
	why := map[event.Path]store.Reason{}
	for _, c := range changes {
		if c.draft == nil {
			kept = append(kept, c)
			continue
		}
		ours, local, err := r.localEdit(&c)
		if err != nil {
			return nil, nil, err
		}
		if !ours {
			r.setProblem(localProblem(c.seen.Path))
			continue
		}
		if local {
			why[c.seen.Path] = store.Reason{Code: reasonLocal, Message: textLocal}
		} else {
			r.emit("edit.set_aside", c.seen.Path, r.self, "the pool has changed it too; the edit is kept in .meerkat/versions")
		}
		c.draft = nil
		kept = append(kept, c)
	}
	return kept, why, nil
}

// localEdit completes the row of an edit. ours is false for what the pool has
// nothing of; local says that the edit stays.
func (r *replica) localEdit(c *change) (ours, local bool, err error) {
	p := c.seen.Path
	have, known, err := r.st.Have(p)
	if err != nil {
		return false, false, err
	}
	view, err := r.st.View(p)
	if err != nil {
		return false, false, err
	}
	need, waits, err := r.st.NeedAt(p)
	if err != nil || !view.Value.Live() && view.CDot.IsZero() {
		return false, false, err
	}
	c.have.Known = have.Known // what the edit was made of
	c.have.Known.Value = c.seen.Value
	local = known && (view.Value.Same(have.Known.Value) || waits && need.Reason == reasonLocal)
	return true, local, nil
}

func localProblem(p event.Path) Problem {
	out := Problem{Code: "local_edit", Message: "made here, but this node's role may not change the pool; it stays here", Hint: hintOf(reasonLocal)}
	out.Path, out.PathB64 = jsonPath(p)
	return out
}

// release lets local edits out when this node may write at last: they are
// edits of what the pool has now.
func (r *replica) release() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	var tx store.Tx
	for after := event.Path(""); ; {
		needs := r.st.Needs(after, roundMost)
		if len(needs) == 0 {
			break
		}
		after = needs[len(needs)-1].Path
		for _, n := range needs {
			if n.Reason != reasonLocal {
				continue
			}
			view, err := r.st.View(n.Path)
			if err != nil {
				return err
			}
			if tx.Put == nil {
				tx.Put = map[event.Path]store.Have{}
			}
			tx.Put[n.Path] = store.Have{Known: knownOf(view)} // no file looks like that: the scan reads it
		}
	}
	if len(tx.Put) == 0 {
		return nil
	}
	_, err := r.st.Commit(tx)
	return err
}
