package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
	"github.com/bwaklog/meerkat/swarm"
)

// replica keeps one folder equal to one pool. It owns no truth: what it knows
// lies in the store and on the disk, so running its loops again after a crash
// is all the recovery there is.
type replica struct {
	id    event.PoolID
	path  string
	self  peer.ID
	key   crypto.PrivKey
	st    *store.Pool
	fold  *folder.Folder
	feed  *pubsub.Feed
	swarm *swarm.Swarm
	links *links
	clock *event.Clock
	log   *slog.Logger
	note  func(EventInfo) // tells `meerkat events`
	addrs func() []string // where this node can be reached, for reports

	// disk is held while files of the folder are replaced and while what was
	// seen of them is published, so that neither sees the other's half.
	disk sync.Mutex

	// Under disk: who this node writes as, the epoch before, and whether this
	// run has begun the epoch, so that no copy of the state can share it.
	writer    event.Writer
	before    uint64
	exclusive bool
	past      *ancestors // nil until a scan needs it
	kin       kin        // to be looked for when the scan is over
	surveyed  uint64     // what surveyKey says; 0: the whole folder has not been seen with this state
	stray     error      // why the index does not say what was done to the folder: nothing is published or applied any more

	stateDir   string
	again      func(context.Context, peer.ID, event.PoolID) (Answer, error)
	expel      func()      // closes the links to those who were removed
	holdBursts func() bool // as safety.hold_bursts says now
	began      time.Time   // of this run
	licence    licence

	ground    Ground
	delivered func(time.Duration) // told of each event that arrives, and its age
	opened    chan struct{}       // closed once fold is set
	closing   sync.RWMutex        // held for reading while others read from the folder
	closed    bool
	watcher   *folder.Watcher

	scanNow, applyNow, reportNow, pruneNow, mendNow, fateNow, wetNow, glanceNow nudge

	scans, applies pulse        // of the two loops
	batches        pulses       // of applies, also of flights
	applyTurn      turnstile    // of those
	staging        atomic.Int64 // bytes that those have to move

	settings func() Settings
	care     care
	pauses   *pauses // the node's

	mu       sync.Mutex
	dirty    map[event.Path]bool // to be scanned; true: with everything below
	full     bool                // a full scan is due
	waiting  []chan struct{}     // closed after the next full turn of the scan loop
	scanning bool
	problems map[event.Path]Problem // found by scanning
	fresh    map[event.Path]Problem // those set since the last scan began

	unreadable *time.Timer // has what cannot be read looked at again
	halted     string
	stateTold  string // what the last event of kind pool.state said
	index      *Progress
	fetch      *Progress
	fetches    int // under way
	applying   bool
	first      bool // the first scan of this run is done
	disputes   map[event.Path]dispute
	recent     int // events that came in since the last converge
	partials   map[chunker.ID]*openFile
	refusedBy  peer.ID
	holds      holds
	wet        wet
	bursts     map[peer.ID]*burst
	sent       stamps        // of reports
	told       []ownerNotice // nil: not read yet

	reports     reportBook
	quota       quota
	claims      claims
	flights     flights
	news        news
	stubborn    stubborn
	blame       func(peer.ID, error)
	rosterNews  func()      // told when the roster changed: the pool may have been merged
	elders      []*replica  // pools that were merged into this one here; under disk
	someoneCame atomic.Bool // since blocked needs were last tried
	repeat      atomic.Bool // send a report though it says nothing new
	speaks      atomic.Bool // members that compare are told how things stand here
}

const (
	rescanEvery   = time.Hour
	degradedEvery = time.Minute
	guardEvery    = 2 * time.Second
	reportEvery   = 5 * time.Minute
	reportPause   = 100 * time.Millisecond
)

// newReplica prepares a replica of a pool in dir; it touches nothing yet.
func (n *Node) newReplica(id event.PoolID, dir string, st *store.Pool) *replica {
	return &replica{
		blame: func(p peer.ID, err error) { n.blame(id, p, err) },
		id:    id, path: dir, self: n.self, key: n.home.Key(), st: st, feed: n.feed, swarm: n.swarm,
		links: n.links, clock: n.clock, log: n.log, note: n.diary.add, addrs: n.publicAddrs,
		scanNow: newNudge(), applyNow: newNudge(), reportNow: newNudge(), mendNow: newNudge(), fateNow: newNudge(), pruneNow: newNudge(), wetNow: newNudge(), glanceNow: newNudge(),
		settings: n.home.Settings, pauses: &n.pauses, opened: make(chan struct{}),
		dirty: map[event.Path]bool{}, problems: map[event.Path]Problem{},
		disputes: map[event.Path]dispute{}, partials: map[chunker.ID]*openFile{},
		holdBursts: func() bool { return n.home.Settings().HoldBursts },
		again:      n.admit.AskAgain, expel: n.expel,
		rosterNews: n.heirs.poke.poke, elders: n.eldersOf(id),
		stateDir: n.home.StateDir(), began: time.Now(), licence: newLicence(), ground: n.conf.Ground,
		delivered: n.conf.Delivered,
	}
}

// Run keeps the folder and the pool equal until ctx ends; it returns when all
// that it started has ended. Its error means that another replica has to take
// over: errOtherFolder at once, any other after a while.
func (r *replica) Run(ctx context.Context) error {
	if !r.openFolder(ctx) {
		return nil
	}
	defer r.closeFolder()
	found, err := r.begin(ctx)
	if err != nil {
		return err
	}
	if err := r.loops(ctx, found); err != nil {
		return err
	}
	r.ended()
	return nil
}

// loops runs all that a replica does, until ctx ends.
func (r *replica) loops(ctx context.Context, found evidence) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.earn(ctx, found) })
	g.Go(func() error { return r.mend(ctx) })
	g.Go(func() error { return r.learnFate(ctx) })
	g.Go(func() error { return r.guard(ctx) })
	g.Go(func() error { return r.watch(ctx) })
	g.Go(func() error { return r.scanLoop(ctx) })
	g.Go(func() error { return r.glanceLoop(ctx) })
	g.Go(func() error { return r.convergeLoop(ctx) })
	g.Go(func() error { return r.reportLoop(ctx) })
	g.Go(func() error { return r.pruneLoop(ctx) })
	g.Go(func() error { return r.scrubLoop(ctx) })
	g.Go(func() error { return r.collectLoop(ctx) })
	g.Go(func() error { return r.heraldLoop(ctx) })
	g.Go(func() error { return r.dryLoop(ctx) })
	return g.Wait()
}

// openFolder waits until the folder is there and is the right one; while it is
// not, the pool is halted and says why. False: ctx ended first.
func (r *replica) openFolder(ctx context.Context) bool {
	for {
		f, err := r.ground.folder(folder.Config{Root: r.path, Pool: r.id, Log: r.log, Reserve: r.reserve})
		if err == nil {
			r.fold = f
			close(r.opened)
			r.halt("")
			return true
		}
		r.halt(err.Error())
		if !sleep(ctx, guardEvery) {
			return false
		}
	}
}

// reserve is how much of the disk is left free, as the settings say now.
func (r *replica) reserve() int64 { return r.settings().DiskReserve }

func (r *replica) closeFolder() {
	r.closing.Lock() // waits for chunks that are being read
	defer r.closing.Unlock()
	r.closed = true
	if err := r.fold.Close(); err != nil {
		r.log.Debug("close folder", "err", err)
	}
}

// useFolder calls f with the folder, unless it is not open.
func (r *replica) useFolder(f func() error) error {
	r.closing.RLock()
	defer r.closing.RUnlock()
	select {
	case <-r.opened:
	default:
		return folder.ErrMissing
	}
	if r.closed {
		return folder.ErrMissing
	}
	return f()
}

// begin finishes what a crash left half done, and decides as whom to write.
func (r *replica) begin(ctx context.Context) (evidence, error) {
	if err := r.recover(ctx); err != nil {
		return broken, err
	}
	r.cleanTmp()
	r.loadPause()
	if err := r.loadEpoch(); err != nil {
		return broken, err
	}
	found, now, err := r.continuity()
	if err != nil {
		return broken, err
	}
	if err := r.loadSurvey(found); err != nil {
		return broken, err
	}
	if err := r.openEpoch(found); err != nil {
		return broken, err
	}
	if err := r.loadWet(now.Cut); err != nil {
		return broken, err
	}
	r.noteLogEnd()
	return found, r.renew(now) // last: what it overwrites is what found was judged by
}

// halt stops or resumes the pool; why is "" when all is well again.
func (r *replica) halt(why string) {
	r.mu.Lock()
	changed := r.halted != why
	r.halted = why
	r.mu.Unlock()
	if !changed {
		return
	}
	if why != "" {
		r.log.Warn("pool halted", "pool", r.name(), "why", why)
	} else {
		r.log.Info("pool resumed", "pool", r.name())
	}
	r.tellState()
	r.reportNow.poke()
}

// guarded reports whether the folder may be touched, and halts the pool if not.
func (r *replica) guarded() bool {
	if r.amOut() {
		r.halt(textRemoved)
		return false
	}
	if err := errors.Join(r.fold.Check(), r.st.Writable()); err != nil {
		r.halt(err.Error())
		return false
	}
	r.halt("")
	return true
}

// errOtherFolder says that another directory stands in the folder's place which is this pool's folder all the same.
var errOtherFolder = errors.New("the folder was mounted or moved here again")

// cameBack is errOtherFolder once what stands at the folder's path is not what was opened, and can be opened: a disk that
// was mounted again, or a directory that was put in place of the old one.
func (r *replica) cameBack() error {
	var g *folder.GuardError
	if err := r.fold.Check(); !errors.As(err, &g) || g.Why != folder.WhyOtherDevice {
		return nil
	}
	f, err := r.ground.folder(folder.Config{Root: r.path, Pool: r.id, Log: r.log})
	if err != nil {
		return nil //nolint:nilerr // halted already, and it is looked at again
	}
	return errors.Join(errOtherFolder, f.Close(), r.yanked())
}

// guard looks at the folder now and then, so that it is noticed when it goes
// and when it comes back, though nothing else happens.
func (r *replica) guard(ctx context.Context) error {
	for sleep(ctx, guardEvery) {
		before := r.haltedWhy()
		if r.guarded() && before != "" {
			r.markAll() // who knows what happened meanwhile
			r.applyNow.poke()
		}
		if err := r.cameBack(); err != nil {
			return err
		}
	}
	return nil
}

func (r *replica) name() string {
	if ro := r.st.Roster(); ro != nil {
		return ro.Name()
	}
	return r.id.String()[:8]
}

// mayWrite reports whether this node's role lets it change the pool.
func (r *replica) mayWrite() bool {
	ro := r.st.Roster()
	if ro == nil {
		return false
	}
	m, ok := ro.Member(r.self)
	return ok && m.Role.Writes()
}

func (r *replica) emit(kind string, p event.Path, by peer.ID, detail string) {
	e := EventInfo{Type: kind, Pool: r.id.String(), Detail: detail, By: by.String()}
	e.Path, e.PathB64 = jsonPath(p)
	r.note(e)
}
