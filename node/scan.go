package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	// batchMost and batchWait bound what is published in one commit. Deletions
	// wait for the end of the scan, so that a rename is seen as one.
	batchMost    = 4096
	batchBytes   = 256 << 20
	batchWait    = 2 * time.Second
	goneMost     = 100_000
	heldWait     = 10 * time.Second
	unstableWait = time.Second
	scanRetry    = 5 * time.Second
)

// scanLoop looks at what the watcher names, at everything now and then, and
// publishes what changed.
func (r *replica) scanLoop(ctx context.Context) error {
	full := time.NewTicker(rescanEvery)
	defer full.Stop()
	for {
		var retry <-chan time.Time
		r.scans.begin("scanning", 0)
		err := r.scanTurn(ctx)
		r.scans.rest()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			r.log.Warn("scan", "pool", r.name(), "err", err)
			retry = time.After(scanRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.scanNow.c:
		case <-retry:
		case <-full.C:
			r.markAll()
		}
	}
}

// scanTurn scans what is due, if anything.
func (r *replica) scanTurn(ctx context.Context) error {
	if r.paused() {
		return nil // what is due stays due
	}
	dirty, all, waiting := r.takeDirty()
	if len(dirty) == 0 && !all {
		r.scanDone(waiting, false)
		return nil
	}
	voids := r.st.Voids()
	err := r.scanGuarded(ctx, dirty, all)
	if err == nil && all {
		err = r.survey(voids)
	}
	if err == nil {
		err = r.lookAtKin()
	}
	if err != nil {
		r.giveBack(dirty, all, waiting)
		return err
	}
	r.scanDone(waiting, all)
	return nil
}

func (r *replica) scanGuarded(ctx context.Context, dirty []folder.Dirty, all bool) error {
	if !r.guarded() {
		return errors.New(r.haltedWhy())
	}
	changed, _, err := r.fold.ReloadIgnore()
	if err != nil {
		return err
	}
	if changed {
		r.rulesChanged()
		all = true
	}
	if all {
		dirty = nil
	}
	return r.scan(ctx, dirty, all)
}

// rulesChanged looks anew at what waited because of the old ignore rules.
func (r *replica) rulesChanged() {
	if err := r.st.ClearReasons(reasonIgnored); err != nil {
		r.log.Warn("ignore rules", "err", err)
	}
	r.applyNow.poke()
}

// scan runs one scan and publishes what it finds.
func (r *replica) scan(ctx context.Context, dirty []folder.Dirty, all bool) error {
	defer r.forgetPast()
	r.mu.Lock()
	clear(r.fresh)
	r.mu.Unlock()
	b := batch{ctx: ctx, r: r, all: all, since: time.Now(), fresh: true}
	if err := r.st.HaveDir("", func(string, store.Have) bool { b.fresh = false; return false }); err != nil {
		return err
	}
	if all {
		defer r.hideIndex()
	}
	problems, err := r.fold.Scan(ctx, r.index0(), dirty, b.add, r.scanMoves(all))
	if err == nil {
		err = b.flush(true)
	}
	if err != nil {
		return err
	}
	r.keepProblems(problems, dirty, all)
	if all {
		return errors.Join(r.scanSettled(b.back), r.scannedOn())
	}
	return nil
}

// scanMoves takes in how far a scan is, which shows that it moves.
func (r *replica) scanMoves(all bool) func(folder.Progress) {
	var last folder.Progress
	return func(p folder.Progress) {
		if p != last {
			r.scans.begin("scanning", 0)
			last = p
		}
		if all {
			r.showIndex(p)
		}
	}
}

// batch gathers what a scan finds until it is worth a commit.
type batch struct {
	ctx   context.Context // of the scan
	r     *replica
	all   bool // everything is looked at
	back  int  // gone, and held back
	seen  []folder.Seen
	gone  []folder.Seen
	bytes int64
	since time.Time

	// held is content that lies here under another name already. Most likely that one is found gone at the end, and
	// then a member who hears of both at once renames instead of copying.
	held      []folder.Seen
	heldSince time.Time
	fresh     bool // the index was empty when the scan began, so nothing can be gone
}

func (b *batch) add(seen []folder.Seen) error {
	for _, s := range seen {
		if s.Gone && !b.r.cutGone(s) {
			b.gone = append(b.gone, s)
			continue
		}
		b.seen = append(b.seen, s)
		b.bytes += s.Value.Size
	}
	if len(b.seen) >= batchMost || b.bytes >= batchBytes || time.Since(b.since) > batchWait || len(b.gone) >= goneMost || len(b.held) >= goneMost {
		return b.flush(len(b.gone) >= goneMost)
	}
	return nil
}

// hold keeps for the end of the scan what may be the new name of something.
func (b *batch) hold() error {
	if b.fresh {
		return nil
	}
	roots := make([]chunker.ID, len(b.seen))
	for i, s := range b.seen {
		if mayBeMoved(s) {
			roots[i] = s.Value.Root
		}
	}
	homes, err := b.r.st.CopiesOf(roots, 1)
	if err != nil {
		return err
	}
	rest := b.seen[:0]
	for i, s := range b.seen {
		if !mayBeMoved(s) || len(homes[i]) == 0 {
			rest = append(rest, s)
			continue
		}
		if len(b.held) == 0 {
			b.heldSince = time.Now()
		}
		b.held = append(b.held, s)
	}
	b.seen = rest
	return nil
}

// mayBeMoved says whether s is of content that may have lain elsewhere.
func mayBeMoved(s folder.Seen) bool {
	return !s.Ignored && s.Only == "" && s.Value.Kind == event.File && s.Value.Size > 0
}

// flush publishes what has been gathered; with the end of the scan, or when
// there are very many, deletions as well.
func (b *batch) flush(gone bool) error {
	if !gone {
		if err := b.hold(); err != nil {
			return err
		}
	}
	seen := b.seen
	if gone || len(b.held) >= goneMost || time.Since(b.heldSince) > heldWait {
		seen = append(seen, b.held...)
		b.held = nil
	}
	if gone && len(b.gone) > 0 {
		pass, back, err := b.r.sift(b, seen)
		if err != nil {
			return err
		}
		seen, b.back = append(seen, pass...), b.back+back
		b.gone = nil
	}
	b.seen, b.bytes, b.since = nil, 0, time.Now()
	if len(seen) == 0 {
		return nil
	}
	b.r.scans.rest() // for somebody else, however long
	if err := b.r.licence.await(b.ctx); err != nil {
		return err
	}
	b.r.scans.begin("publishing", 0)
	return b.r.publish(seen)
}

// index0 is what the scanner may ask of the store.
func (r *replica) index0() folder.Index {
	return folder.Index{
		Dir: func(dir event.Path, yield func(string, folder.Known) bool) error {
			return r.st.HaveDir(dir, func(name string, h store.Have) bool { return yield(name, r.folderKnown(h)) })
		},
		At: func(p event.Path) (folder.Known, bool, error) {
			h, ok, err := r.st.Have(p)
			return r.folderKnown(h), ok, err
		},
		Accept: r.acceptsMount,
		Hint:   r.classHint, Manifest: r.st.Manifest,
	}
}

// folderKnown is what the scanner may go by. After a power cut the times of what was written last say nothing of the bytes.
func (r *replica) folderKnown(h store.Have) folder.Known {
	v := h.Known.Value
	return folder.Known{
		Kind: v.Kind, Stat: folderStat(h.Stat), Racy: h.Racy || r.cutOff(h), Root: v.Root,
		Class: v.Class, Target: v.Target, Mode: v.Mode, MTime: v.MTime,
	}
}

// scanDone ends a turn; all says that everything was looked at.
func (r *replica) scanDone(waiting []chan struct{}, all bool) {
	r.mu.Lock()
	first := all && !r.first
	r.first, r.scanning = r.first || all, false
	if len(r.dirty) == 0 {
		clear(r.holds.seen)
	}
	r.mu.Unlock()
	for _, c := range waiting {
		close(c)
	}
	if first {
		r.applyNow.poke()
	}
	r.reportNow.poke()
}

// working reports whether local changes may not have been published yet.
func (r *replica) working() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scanning || r.full || len(r.dirty) > 0 || (r.watcher != nil && r.watcher.Pending())
}

// scanNowAll scans everything and returns when that is published.
func (r *replica) scanNowAll(ctx context.Context) error {
	r.markAll()
	return r.awaitScan(ctx)
}

// scanNowPath scans p and what is below it.
func (r *replica) scanNowPath(ctx context.Context, p event.Path) error {
	_, exists, err := r.fold.Lstat(p)
	if err != nil {
		return err
	}
	if _, known, _ := r.st.Have(p); !exists && !known {
		return &Error{Code: "no_path", Message: fmt.Sprintf("there is no %q in the pool", string(p)), Exit: 4}
	}
	r.markDirty(p, true)
	return r.awaitScan(ctx)
}

func (r *replica) awaitScan(ctx context.Context) error {
	if err := r.notPaused(); err != nil {
		return err
	}
	done := make(chan struct{})
	r.mu.Lock()
	r.waiting = append(r.waiting, done)
	r.mu.Unlock()
	r.scanNow.poke()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		if why := r.haltedWhy(); why != "" {
			return &Error{Code: "halted", Message: "the pool is halted: " + why, Exit: 8}
		}
		return asTimeout(ctx.Err(), "the scan")
	}
}

func (r *replica) haltedWhy() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halted
}

func (r *replica) showIndex(p folder.Progress) {
	st := r.st.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Hashed == 0 {
		return // a rescan that finds nothing new is not worth a bar
	}
	r.index = &Progress{Kind: "index", DoneFiles: p.Files, DoneBytes: p.Bytes, TotalFiles: max(st.Files, 0)}
}

func (r *replica) hideIndex() {
	r.mu.Lock()
	r.index = nil
	r.mu.Unlock()
}

// scanLater wakes the scan loop after d.
func (r *replica) scanLater(d time.Duration) { time.AfterFunc(d, r.scanNow.poke) }
