package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/pool"
)

const (
	pendingPrefix = "join/"
	maxPending    = 64
)

// PendingJoin is a join that a running node carries out, and tries again until
// it is admitted or refused. Exactly one of Ticket and Node is set.
type PendingJoin struct {
	Key     string    `json:"-"` // names it in the state
	Ticket  string    `json:"ticket,omitempty"`
	Node    string    `json:"node,omitempty"` // peer id, or multiaddr that ends in one
	Dir     string    `json:"dir"`
	Name    string    `json:"name"` // what this node calls itself to the pool
	Created time.Time `json:"created"`
	// From is the id of this node's pool in Dir that is to be merged into the
	// ticket's; "": Dir is no pool's folder.
	From string `json:"from,omitempty"`
}

// Info describes the join as a pool to be.
func (j PendingJoin) Info() PoolInfo {
	info := PoolInfo{Schema: SchemaPool, Name: filepath.Base(j.Dir), Path: j.Dir, Role: "none", Pending: true}
	if tk, err := pool.ParseTicket(j.Ticket); err == nil {
		info.ID, info.Name, info.Role = tk.Pool.String(), tk.PoolName, tk.Role.String()
	}
	return info
}

// NoteJoin checks a join request and keeps it in the state, durably, for a
// running node to carry out. The same request again is the one that waits. A
// ticket's form, this node's membership and the folder are checked at once.
func (h *Home) NoteJoin(r JoinRequest) (PendingJoin, error) {
	j := PendingJoin{Ticket: strings.TrimSpace(r.Ticket), Node: r.Node, Dir: filepath.Clean(r.Dir), Name: r.Name, Created: time.Now().UTC()}
	if j.Name == "" {
		j.Name = h.Name()
	}
	if err := pool.CheckName(j.Name); err != nil {
		return PendingJoin{}, poolTrouble(err)
	}
	if err := h.checkTarget(j); err != nil {
		return PendingJoin{}, err
	}
	if err := h.CheckDir(j.Dir); err != nil && !h.goesBack(j.Dir) && !h.succeeds(j) {
		return PendingJoin{}, err
	}
	return h.note(j)
}

// note keeps j, unless the same waits already.
func (h *Home) note(j PendingJoin) (PendingJoin, error) {
	waiting, err := h.pending()
	if err != nil {
		return PendingJoin{}, err
	}
	for _, w := range waiting {
		if w.Ticket == j.Ticket && w.Node == j.Node && w.Dir == j.Dir && w.From == j.From {
			return w, nil
		}
	}
	if len(waiting) >= maxPending {
		return PendingJoin{}, trouble("busy", nil, "%d joins are waiting already", len(waiting))
	}
	j.Key = pendingPrefix + token()
	return j, h.keep(j)
}

// checkTarget says why whom j asks cannot be asked.
func (h *Home) checkTarget(j PendingJoin) error {
	if j.Ticket == "" {
		info, err := parseNode(j.Node)
		if err != nil {
			return &Error{Code: "usage", Message: "that is neither a ticket nor a node's id", Hint: "an id begins with 12D3KooW", Exit: exitUsage, Err: err}
		}
		if info.ID == h.id {
			return &Error{Code: "usage", Message: "that is this node's own id", Hint: "give the id of a member of the pool", Exit: exitUsage}
		}
		return nil
	}
	tk, err := pool.ParseTicket(j.Ticket)
	if err != nil {
		return poolTrouble(err)
	}
	if _, out := h.left(tk.Pool); h.hasPool(tk.Pool) && !out {
		return trouble("already_member", nil, "this node is in the pool %q already", tk.PoolName)
	}
	return nil // whether it has expired is for the clock of who admits to say: this one's may be wrong
}

// parseNode reads a peer id, or a multiaddr that ends in one.
func parseNode(s string) (peer.AddrInfo, error) {
	if id, err := peer.Decode(s); err == nil {
		return peer.AddrInfo{ID: id}, nil
	}
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%q is neither a node's id nor a multiaddr", s)
	}
	info, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%q does not end in /p2p and an id", s)
	}
	return *info, nil
}

func (h *Home) keep(j PendingJoin) error {
	b, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("keep the join: %w", err)
	}
	return stateTrouble(h.StateDir(), h.db.Set(j.Key, b))
}

// PendingJoins lists the joins that wait, in no order. Trouble with the state
// is logged.
func (h *Home) PendingJoins() []PendingJoin {
	out, err := h.pending()
	if err != nil {
		h.log.Error("pending joins", "err", err)
	}
	return out
}

func (h *Home) pending() ([]PendingJoin, error) {
	keys, err := h.db.Keys(pendingPrefix)
	if err != nil {
		return nil, stateTrouble(h.StateDir(), err)
	}
	var out []PendingJoin
	for _, key := range keys {
		b, ok, err := h.db.Get(key)
		if err != nil {
			return nil, stateTrouble(h.StateDir(), err)
		}
		j := PendingJoin{}
		if !ok || json.Unmarshal(b, &j) != nil {
			continue // dropped meanwhile, or written by a later version
		}
		j.Key = key
		out = append(out, j)
	}
	return out, nil
}

// DropPending forgets a join.
func (h *Home) DropPending(j PendingJoin) error {
	return stateTrouble(h.StateDir(), h.db.Set(j.Key, nil))
}

// unmark takes the marker of a pool out of its folder; one that is not there,
// or another pool's, is left.
func unmark(p HomePool) error {
	if p.Path == "" {
		return nil // one that was merged: its folder is another's now
	}
	path := filepath.Join(p.Path, ".meerkat", "pool")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // nothing there to take away
	}
	m, err := folder.DecodeMarker(b)
	if err != nil || m.Pool != p.ID {
		return nil //nolint:nilerr // not ours
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trouble("folder_unwritable", err, "the pool is left, but its marker %s stays", path)
	}
	return nil
}
