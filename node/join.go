package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/pool"
)

const (
	joinRetry   = 2 * time.Second
	joinAskWait = 15 * time.Second
	lateTicket  = 15 * time.Second // a ticket that has expired by this node's clock, which may be wrong, is tried for so long
	maxMet      = 256              // nodes that discovery met, remembered while a join is pending
)

// joiner carries out the joins that are pending: it asks whoever may admit,
// again and again, until this node is admitted or refused.
type joiner struct {
	n    *Node
	poke nudge

	mu    sync.Mutex
	jobs  []*joinJob
	found map[peer.ID]bool // met on the LAN while a join was pending
}

// joinJob is one pending join.
type joinJob struct {
	PendingJoin
	ticket *pool.Ticket // nil: by id
	target peer.ID      // by id
	began  time.Time
	done   chan struct{}
	info   PoolInfo
	err    error
	last   error // why the last attempt came to nothing; under joiner.mu
	greet  Greeting
	words  []string // of greet; under joiner.mu
}

// newJoiner takes up the joins that were pending when the node was stopped,
// before anybody can add one.
func newJoiner(n *Node) *joiner {
	j := &joiner{n: n, poke: newNudge(), found: map[peer.ID]bool{}}
	for _, p := range n.home.PendingJoins() {
		if _, err := j.add(p); err != nil {
			n.log.Warn("pending join", "dir", p.Dir, "err", err)
		}
	}
	return j
}

// Run works on pending joins until ctx ends.
func (j *joiner) Run(ctx context.Context) error {
	for {
		for _, job := range j.open() {
			j.attempt(ctx, job)
		}
		if !j.pause(ctx) {
			return nil
		}
	}
}

// pause waits until there is something to try again.
func (j *joiner) pause(ctx context.Context) bool {
	var again <-chan time.Time
	if len(j.open()) > 0 {
		t := time.NewTimer(joinRetry)
		defer t.Stop()
		again = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-again:
	case <-j.poke.c:
	}
	return true
}

// add takes in a join that the home has noted. One that is under way already
// is not begun a second time.
func (j *joiner) add(p PendingJoin) (*joinJob, error) {
	job := &joinJob{PendingJoin: p, began: time.Now(), done: make(chan struct{})}
	if p.Ticket != "" {
		t, err := pool.ParseTicket(p.Ticket)
		if err != nil {
			return nil, err
		}
		job.ticket = &t
	} else {
		id, err := parseNode(p.Node)
		if err != nil {
			return nil, err
		}
		job.target = id.ID
		j.n.links.Found(id)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range j.jobs {
		if o.Key == p.Key {
			return o, nil
		}
	}
	j.jobs = append(j.jobs, job)
	j.poke.poke()
	return job, nil
}

func (j *joiner) open() []*joinJob {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.jobs)
}

// pending lists the joins that have not been decided.
func (j *joiner) pending() []PoolInfo {
	var out []PoolInfo
	for _, job := range j.open() {
		out = append(out, j.infoOf(job))
	}
	return out
}

// infoOf describes a job as a pool to be.
func (j *joiner) infoOf(job *joinJob) PoolInfo {
	info := job.Info()
	j.mu.Lock()
	defer j.mu.Unlock()
	info.Words = job.words
	return info
}

// Found remembers who was met while joins are pending.
func (j *joiner) Found(p peer.AddrInfo) {
	j.mu.Lock()
	waiting := len(j.jobs) > 0
	fresh := waiting && !j.found[p.ID]
	if fresh {
		for old := range j.found { // any: who names very many keeps nobody out
			if len(j.found) < maxMet {
				break
			}
			delete(j.found, old)
		}
		j.found[p.ID] = true
	}
	j.mu.Unlock()
	if fresh {
		j.poke.poke()
	}
}

// lanNames are the names under which those who may admit show themselves.
func (j *joiner) lanNames() []string {
	var out []string
	for _, job := range j.open() {
		if job.ticket != nil {
			out = append(out, lanName("pool", job.ticket.Pool[:]))
		} else {
			out = append(out, lanName("node", []byte(job.target)))
		}
	}
	return out
}

// attempt asks everybody who may admit, one after the other in the order in
// which they can be reached, until one does.
func (j *joiner) attempt(ctx context.Context, job *joinJob) {
	if job.late(time.Now()) {
		j.finish(job, PoolInfo{}, poolTrouble(pool.ErrTicketExpired))
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	reached := j.reach(ctx, j.candidates(job))
	defer func() {
		cancel()
		for range reached { // until the dials have ended
		}
	}()
	for r := range reached {
		err := r.err
		if err == nil {
			err = j.ask(ctx, job, r.peer)
		}
		if err == nil || job.over() || ctx.Err() != nil {
			return
		}
		j.mu.Lock()
		job.last = err
		j.mu.Unlock()
		j.n.log.Debug("join", "peer", r.peer, "err", err)
	}
}

// reached is a node that was dialled.
type reached struct {
	peer peer.ID
	err  error
}

// reach dials all of ps at once; the channel is closed when all dials have ended.
func (j *joiner) reach(ctx context.Context, ps []peer.AddrInfo) <-chan reached {
	out := make(chan reached, len(ps))
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, joinAskWait)
			defer cancel()
			if err := j.n.host.Connect(ctx, p); err != nil {
				out <- reached{p.ID, fmt.Errorf("connect: %w", firstLine(err))}
				return
			}
			out <- reached{peer: p.ID}
		})
	}
	go func() { // ends with the dials, which attempt waits for
		wg.Wait()
		close(out)
	}()
	return out
}

// late reports whether the job's ticket has expired, as far as this node can tell, and whoever might know better was not found.
func (job *joinJob) late(now time.Time) bool {
	return job.ticket != nil && now.After(job.ticket.Expires) && now.Sub(job.began) > lateTicket
}

func (job *joinJob) over() bool {
	select {
	case <-job.done:
		return true
	default:
		return false
	}
}

// candidates are the nodes that may admit this one: the ticket's hints, then
// every fixed peer, then whom discovery met.
func (j *joiner) candidates(job *joinJob) []peer.AddrInfo {
	if job.ticket == nil {
		return []peer.AddrInfo{{ID: job.target}}
	}
	var out []peer.AddrInfo
	add := func(p peer.AddrInfo) {
		if p.ID != j.n.self && !slices.ContainsFunc(out, func(q peer.AddrInfo) bool { return q.ID == p.ID }) {
			out = append(out, p)
		}
	}
	for _, s := range job.ticket.Addrs {
		if p, err := peer.AddrInfoFromString(s); err == nil {
			j.n.host.Peerstore().AddAddrs(p.ID, p.Addrs, hintTTL)
			add(peer.AddrInfo{ID: p.ID})
		}
	}
	add(peer.AddrInfo{ID: job.ticket.Issuer})
	for _, id := range j.n.links.fixedPeers() {
		add(peer.AddrInfo{ID: id})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for id := range j.found {
		add(peer.AddrInfo{ID: id})
	}
	return out
}

// ask asks one node for admission and acts on its answer.
func (j *joiner) ask(ctx context.Context, job *joinJob, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, joinAskWait)
	defer cancel()
	answer, err := j.askFor(ctx, job, p)
	if err != nil {
		return err
	}
	switch {
	case answer.Pending:
		return nil // asked again at the next turn
	case answer.Refused != nil:
		if j.counts(job, p, answer.Refused) {
			j.finish(job, PoolInfo{}, answer.Refused)
		}
		return answer.Refused
	}
	info, err := j.enter(job, answer.Records)
	j.finish(job, info, err)
	return err
}

// askFor asks p for what the job wants: this node, or in a merge all members
// of its pool, to be let in.
func (j *joiner) askFor(ctx context.Context, job *joinJob, p peer.ID) (Answer, error) {
	if job.ticket == nil {
		answer, err := j.n.admit.AskByHand(ctx, p, job.Name, &job.greet)
		j.mu.Lock()
		job.words = job.greet.Words
		j.mu.Unlock()
		return answer, err
	}
	if job.From == "" {
		return j.n.admit.Ask(ctx, p, job.Ticket, job.Name)
	}
	ro, err := j.n.home.mergedFrom(job.PendingJoin)
	if err != nil {
		return Answer{}, err
	}
	return j.n.admit.AskForAll(ctx, p, *job.ticket, ro)
}

// counts reports whether p's refusal ends the join. Of a ticket it does only
// where p is one whom the ticket names, or whom this node's owner did: anybody
// on the LAN can say that a ticket is void.
func (j *joiner) counts(job *joinJob, p peer.ID, why *Error) bool {
	if job.ticket == nil {
		return true // it was p who was asked
	}
	if why.Code == "unknown_pool" {
		return false // this one does not know the pool; another may
	}
	if p == job.ticket.Issuer || slices.Contains(j.n.links.fixedPeers(), p) {
		return true
	}
	return slices.ContainsFunc(job.ticket.Addrs, func(s string) bool {
		named, err := peer.AddrInfoFromString(s)
		return err == nil && named.ID == p
	})
}

// enter makes this node a member: the records are kept, the folder is marked,
// and the replica starts in merge mode.
func (j *joiner) enter(job *joinJob, recs []pool.Record) (PoolInfo, error) {
	ro, err := pool.NewRoster(recs)
	if err != nil {
		return PoolInfo{}, fmt.Errorf("the roster that came with the admission: %w", err)
	}
	if job.ticket != nil && ro.ID() != job.ticket.Pool {
		return PoolInfo{}, errors.New("the roster that came with the admission is another pool's")
	}
	if job.From != "" {
		return j.n.bequeath(job.PendingJoin, ro)
	}
	if r := j.n.find(ro.ID()); r == nil && j.n.home.succeeds(job.PendingJoin) {
		return j.n.admitHeir(job.PendingJoin, ro)
	}
	_, again := j.n.home.left(ro.ID())
	j.n.unretire(ro.ID()) // it may have left, and nobody may know yet
	info, err := j.n.home.EnterPool(ro, job.Dir)
	if err != nil {
		return PoolInfo{}, err
	}
	if err := j.n.start(ro.ID(), info.Path); err != nil {
		return PoolInfo{}, err
	}
	if r := j.n.find(ro.ID()); r != nil && again {
		r.rosterChanged() // it ran all the time, shut out
	}
	return info, nil
}

// finish ends a join: it is not tried again.
func (j *joiner) finish(job *joinJob, info PoolInfo, err error) {
	if e := j.n.home.DropPending(job.PendingJoin); e != nil {
		j.n.log.Warn("pending join", "err", e)
	}
	j.mu.Lock()
	j.jobs = slices.DeleteFunc(j.jobs, func(o *joinJob) bool { return o == job })
	j.mu.Unlock()
	job.info, job.err = info, err
	close(job.done)
	if err != nil {
		j.n.log.Warn("join refused", "dir", job.Dir, "err", err)
		return
	}
	j.n.log.Info("joined", "pool", info.Name, "dir", info.Path)
}
