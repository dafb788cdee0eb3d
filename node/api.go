package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/bwaklog/meerkat/event"
)

const (
	watchPause = 250 * time.Millisecond
	pingWait   = 10 * time.Second
)

// Identity says who this node is and where it listens.
func (n *Node) Identity(context.Context) (IDInfo, error) {
	return IDInfo{Schema: SchemaID, ID: n.self.String(), Name: n.home.Name(), Addrs: n.Addrs()}, nil
}

// Status gives the node's state now.
func (n *Node) Status(ctx context.Context) (Status, error) {
	catchUp(ctx, n.all())
	in, out := n.swarm.Counters()
	rateIn, rateOut := n.swarm.Rates()
	s := Status{
		Schema: SchemaStatus, Pools: []PoolStatus{}, Joining: n.joiner.pending(),
		Node: NodeStatus{
			ID: n.self.String(), Name: n.home.Name(), Version: Version, Addrs: n.Addrs(),
			UptimeMs: time.Since(n.started).Milliseconds(), Reachability: n.nat.out.Reachability(),
		},
		Transfer: Transfer{BytesIn: in, BytesOut: out, RateIn: int64(rateIn), RateOut: int64(rateOut)},
	}
	requests := len(n.admit.Requests())
	for _, r := range n.all() {
		p := r.status()
		p.Requests, p.LastChange = requests, n.diary.lastChange(p.ID)
		p.NeedsYou += requests
		s.Pools = append(s.Pools, p)
	}
	s.Pools = append(s.Pools, n.regain.statuses()...)
	slices.SortFunc(s.Pools, func(a, b PoolStatus) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// Watch calls f with the status at once and after each change.
func (n *Node) Watch(ctx context.Context, f func(Status) error) error {
	var last string
	for {
		s, err := n.Status(ctx)
		if err != nil {
			return err
		}
		if now := fingerprint(s); now != last {
			if err := f(s); err != nil {
				return err
			}
			last = now
		}
		if !sleep(ctx, watchPause) {
			return nil
		}
	}
}

// fingerprint tells two statuses apart by what a person would see change.
func fingerprint(s Status) string {
	s.Node.UptimeMs = 0
	for i := range s.Pools {
		for j := range s.Pools[i].Members {
			if s.Pools[i].Members[j].Online {
				s.Pools[i].Members[j].LastSeen = nil
			}
		}
	}
	return fmt.Sprintf("%+v", s)
}

// Scan blocks until path and what is below it is scanned and published.
func (n *Node) Scan(ctx context.Context, name, path string) error {
	r, err := n.pick(name)
	if err != nil {
		return err
	}
	if path == "" || path == "." {
		return r.scanNowAll(ctx)
	}
	p, err := event.ParsePath([]byte(strings.TrimSuffix(path, "/")))
	if err != nil {
		return &Error{
			Code: "bad_path", Message: fmt.Sprintf("%q is not a path in the pool", path),
			Hint: "give it relative to the pool's folder", Exit: 4, Err: err,
		}
	}
	return r.scanNowPath(ctx, p)
}

// pick finds the pool that a person means.
func (n *Node) pick(name string) (*replica, error) {
	all := n.all()
	var hits, begun []*replica
	for _, r := range all {
		switch id := r.id.String(); {
		case name == "" || name == id || name == r.name():
			hits = append(hits, r)
		case strings.HasPrefix(id, name):
			begun = append(begun, r)
		}
	}
	if len(hits) == 0 {
		hits = begun
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(all) == 0:
		return nil, &Error{Code: "no_pool", Message: "this node has no pool", Hint: `make one with "meerkat init DIR", or join one`, Exit: 4}
	case len(hits) == 0:
		return nil, &Error{Code: "no_pool", Message: fmt.Sprintf("no pool is called %q", name), Hint: `"meerkat pool ls" lists them`, Exit: 4}
	}
	return nil, &Error{Code: "which_pool", Message: "this node has several pools", Hint: "say which one with --pool NAME", Exit: 2}
}

// Ping asks a member for one sign of life over the best link.
func (n *Node) Ping(ctx context.Context, member string) (PingInfo, error) {
	id, err := n.pickMember(member)
	if err != nil {
		return PingInfo{}, err
	}
	out := PingInfo{Schema: SchemaPing, ID: id.String(), Link: Link{Kind: "none"}}
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	if err := n.host.Connect(ctx, peer.AddrInfo{ID: id}); err != nil {
		return out, &Error{
			Code: "unreachable", Message: "cannot reach " + member,
			Hint: "is it running, and on a network that this one can reach?", Exit: 6, Err: errors.New(n.dialWhy(id, err)),
		}
	}
	ctx = network.WithAllowLimitedConn(ctx, "ping")
	res := <-ping.Ping(ctx, n.host, id)
	if res.Error != nil {
		return out, &Error{
			Code: "unreachable", Message: "cannot reach " + member, Exit: 6, Err: errors.New("it is linked, but does not answer"),
			Hint: "it may be asleep or have lost its network; the link is tried again by itself",
		}
	}
	out.OK, out.RTTms, out.Link = true, max(res.RTT.Milliseconds(), 0), n.links.Link(id)
	out.Link.RTTms, out.Why = out.RTTms, out.Link.Why
	return out, nil
}

// dialWhy says in plain words why a dial of p failed.
func (n *Node) dialWhy(p peer.ID, err error) string {
	if len(n.host.Peerstore().Addrs(p)) == 0 {
		why, _ := n.whyAbsent(p)
		return why
	}
	return dialText(err.Error())
}

// pickMember finds the node that a person means among all pools' members.
func (n *Node) pickMember(name string) (peer.ID, error) {
	hits := map[peer.ID]bool{}
	for _, r := range n.all() {
		m, err := PickMember(r.st.Roster(), name)
		if err == nil {
			hits[m.ID] = true
		} else if e, ok := errors.AsType[*Error](err); ok && e.Code == "which_node" {
			return "", err
		}
	}
	if len(hits) == 1 {
		for id := range hits {
			return id, nil
		}
	}
	if len(hits) > 1 {
		return "", &Error{Code: "which_node", Message: fmt.Sprintf("several members match %q", name), Hint: "give more of the id", Exit: 2}
	}
	return "", &Error{Code: "no_node", Message: fmt.Sprintf("no member is called %q", name), Hint: `"meerkat peer ls" lists them`, Exit: 4}
}

// Events gives what happened behind the cursor since, and with follow goes on.
func (n *Node) Events(ctx context.Context, since string, follow bool, f func(EventInfo) error) error {
	return n.diary.follow(ctx, since, follow, f)
}

// Log gives the signed changes that req selects, oldest first.
func (n *Node) Log(ctx context.Context, req LogRequest, f func(ChangeInfo) error) error {
	r, err := n.pick(req.Pool)
	if err != nil {
		if r = n.pickRetired(req.Pool); r == nil {
			return err
		}
	}
	return r.history(ctx, req, f)
}

// firstLine is the first line of an error of libp2p, which lists every address
// that was tried on lines of their own.
func firstLine(err error) error {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(s)
}

// asTimeout turns the end of ctx into an error for people.
func asTimeout(err error, what string) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Error{Code: "timeout", Message: what + " took too long", Hint: "give it more time with --timeout", Exit: 6, Err: err}
	}
	return err
}

// Join notes a join and waits until it is decided. When ctx ends first the
// join stays pending.
func (n *Node) Join(ctx context.Context, req JoinRequest) (PoolInfo, error) {
	p, err := n.home.NoteJoin(req)
	if err != nil {
		return PoolInfo{}, err
	}
	return n.await(ctx, p)
}

// await has a noted join carried out, and waits until it is decided.
func (n *Node) await(ctx context.Context, p PendingJoin) (PoolInfo, error) {
	job, err := n.joiner.add(p)
	if err != nil {
		return PoolInfo{}, err
	}
	select {
	case <-job.done:
		return job.info, job.err
	case <-ctx.Done():
		n.joiner.mu.Lock()
		last := job.last
		n.joiner.mu.Unlock()
		return n.joiner.infoOf(job), &Error{
			Code: "join_pending", Message: "nobody has let this node in yet", Exit: 6, Err: last,
			Hint: "the join goes on by itself while the node runs",
		}
	}
}
