package node

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// cutFor is up to where the events of a node count once it is removed: all that
// is known here, but for the end of its logs as far as that announces content
// that has not come. Nobody who is asked has it, and its author is asked no
// more; who does have it takes it over as his own.
func cutFor(st *store.Pool, id peer.ID) (event.Vector, error) {
	cut := headsOf(st)
	owed, err := owedBy(st, id)
	if err != nil {
		return nil, err
	}
	for w, seq := range cut {
		for seq > 0 && owed[event.Dot{Writer: w, Seq: seq}] {
			seq--
		}
		if cut[w] = seq; seq == 0 {
			delete(cut, w)
		}
	}
	return cut, nil
}

// owedBy are the events of a node whose content has to come and has not.
func owedBy(st *store.Pool, id peer.ID) (map[event.Dot]bool, error) {
	owed := map[event.Dot]bool{}
	for after := event.Path(""); ; {
		needs := st.Needs(after, roundMost)
		if len(needs) == 0 {
			return owed, nil
		}
		after = needs[len(needs)-1].Path
		for _, n := range needs {
			if n.Bytes == 0 || n.Reason == reasonIgnored || n.Reason == reasonHeld || n.Reason == reasonLocal {
				continue
			}
			v, err := st.View(n.Path)
			if err != nil {
				return nil, err
			}
			if v.CDot.Writer.Node == id {
				owed[v.CDot] = true
			}
		}
	}
}
