package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// SchemaHeld names the answer of `meerkat held`.
const SchemaHeld = "meerkat.held/v1"

// HeldInfo is something that a guard stopped until a person decides. Kind is
// "mass_deletion", "sub_mount" or "burst".
type HeldInfo struct {
	Schema  string     `json:"schema"`
	ID      string     `json:"id"`
	Pool    string     `json:"pool"`
	Kind    string     `json:"kind"`
	Path    string     `json:"path,omitempty"`
	PathB64 string     `json:"path_b64,omitempty"`
	By      string     `json:"by,omitempty"` // of a burst: the member's name
	Count   int        `json:"count,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Sample  []string   `json:"sample,omitempty"`
	Message string     `json:"message"`
	Hint    string     `json:"hint"`
}

// HeldRequest is a decision: ID "" is everything that is held in the pool.
type HeldRequest struct {
	Pool   string `json:"pool"`
	ID     string `json:"id"`
	Accept bool   `json:"accept"`
}

// Kinds of what is held.
const (
	heldMass  = "mass_deletion"
	heldMount = "sub_mount"
	heldBurst = "burst"
)

// Held lists what waits for a decision in a pool, or in all pools for "".
func (n *Node) Held(_ context.Context, name string) ([]HeldInfo, error) {
	out := []HeldInfo{}
	if name != "" {
		r, err := n.pick(name)
		if err != nil {
			return nil, err
		}
		return append(out, r.held()...), nil
	}
	for _, r := range n.all() {
		out = append(out, r.held()...)
	}
	slices.SortFunc(out, func(a, b HeldInfo) int { return strings.Compare(a.Pool+a.ID, b.Pool+b.ID) })
	return out, nil
}

// DecideHeld carries out what a person decided, and returns when it is done:
// what is accepted is published, or applied, as it is; what is rejected is
// undone: files that are gone are fetched again, and a member's burst is put
// back for all.
func (n *Node) DecideHeld(ctx context.Context, q HeldRequest) error {
	r, err := n.pick(q.Pool)
	if err != nil {
		return err
	}
	all := r.held()
	hits := slices.DeleteFunc(slices.Clone(all), func(h HeldInfo) bool { return q.ID != "" && h.ID != q.ID && h.Path != q.ID })
	if len(hits) == 0 {
		return &Error{Code: "nothing_held", Message: "nothing of that name is held", Hint: `"meerkat held ls" lists what is`, Exit: exitNotFound}
	}
	for _, h := range hits {
		if err := r.decide(ctx, h, q.Accept); err != nil {
			return err
		}
	}
	return nil
}

// held lists what waits for a decision, in a fixed order.
func (r *replica) held() []HeldInfo {
	var out []HeldInfo
	if h := r.theHold(); h != nil {
		out = append(out, HeldInfo{
			Schema: SchemaHeld, ID: heldMass, Pool: r.name(), Kind: heldMass, Count: h.Count, Since: &h.Since, Sample: h.Sample,
			Message: fmt.Sprintf("%d files and directories are gone that were here when the folder was last looked at", h.Count),
			Hint:    "accept deletes them for all members, reject fetches them again; if a disk is missing, mount it",
		})
	}
	r.mu.Lock()
	for p, pr := range r.problems {
		if pr.Code == folder.CodeSubMount {
			out = append(out, HeldInfo{
				Schema: SchemaHeld, ID: pr.Path, Pool: r.name(), Kind: heldMount, Path: string(p), PathB64: pr.PathB64, Message: pr.Message,
				Hint: "mount it again; or accept, and what lies there now is what counts",
			})
		}
	}
	r.mu.Unlock()
	out = append(out, r.heldBursts()...)
	slices.SortFunc(out, func(a, b HeldInfo) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (r *replica) decide(ctx context.Context, h HeldInfo, accept bool) error {
	switch {
	case h.Kind == heldBurst:
		return r.decideBurst(h, accept)
	case h.Kind == heldMount && !accept:
		return &Error{
			Code: "not_possible", Message: "what a missing disk holds cannot be fetched into the directory under it",
			Hint: "mount the disk again, or accept that it is gone", Exit: exitFailed,
		}
	}
	v := &ruling{accept: accept}
	if h.Kind == heldMount {
		v.under = event.Path(h.Path)
	}
	r.mu.Lock()
	r.holds.verdict = v
	r.mu.Unlock()
	return r.scanNowAll(ctx)
}

// acceptsMount tells the scanner that a person said so.
func (r *replica) acceptsMount(dir event.Path) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.holds.verdict
	return v != nil && v.accept && v.under != "" && (dir == v.under || dir.Under(v.under))
}
