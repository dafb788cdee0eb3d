package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// heraldEvery is how often what `meerkat events` tells of states is compared
// with what it told last: what lasts shorter is no news.
const heraldEvery = time.Second

// herald is what was told last; only heraldLoop reads and writes it.
type herald struct {
	online   map[peer.ID]bool
	problems map[string]bool
}

// heraldLoop tells of states that have changed, members that came and went, and
// trouble that is new, until ctx ends.
func (r *replica) heraldLoop(ctx context.Context) error {
	h := &herald{online: map[peer.ID]bool{}, problems: map[string]bool{}}
	for {
		r.tellState()
		r.tellMembers(h)
		r.tellProblems(h)
		if !sleep(ctx, heraldEvery) {
			return nil
		}
	}
}

// tellState tells of the pool's state, unless it was told last.
func (r *replica) tellState() {
	f := r.facts0()
	text := stateOf(f)
	if f.halted != "" {
		text += ": " + f.halted
	}
	r.mu.Lock()
	fresh := text != r.stateTold
	r.stateTold = text
	r.mu.Unlock()
	if fresh {
		r.emit("pool.state", "", r.self, text)
	}
}

func (r *replica) tellMembers(h *herald) {
	for _, m := range r.st.Roster().Members() {
		is := m.ID != r.self && r.links.online(m.ID)
		if is == h.online[m.ID] {
			continue
		}
		h.online[m.ID] = is
		if is {
			r.emit("member.online", "", m.ID, m.Name)
		} else {
			r.emit("member.offline", "", m.ID, m.Name)
		}
	}
}

// tellProblems tells of trouble once; what is over may come again.
func (r *replica) tellProblems(h *herald) {
	now := map[string]bool{}
	for _, p := range r.allProblems() {
		key := p.Code + "\x00" + p.Path + "\x00" + p.PathB64
		if now[key] = true; !h.problems[key] {
			e := EventInfo{Type: "problem", Pool: r.id.String(), By: r.self.String(), Path: p.Path, PathB64: p.PathB64, Detail: p.Code + ": " + p.Message}
			r.note(e)
		}
	}
	h.problems = now
}
