package node

import (
	"context"
	"errors"
	"sync"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/swarm"
)

// load gathers the content of a number of files: small ones in memory, larger
// ones in partial files that survive a crash.
type load struct {
	r      *replica
	files  []*intake
	byRoot map[chunker.ID]*intake

	mu    sync.Mutex
	spots map[chunker.ID][]spot // where a chunk that is still missing belongs
	notes []note
}

// intake is one content that is coming in, for one path or several.
type intake struct {
	root     chunker.ID
	manifest chunker.Manifest
	steps    []folder.Step
	part     *openFile // nil for a small file

	mu      sync.Mutex
	mem     [][]byte
	missing int
	err     error
	staged  bool
}

// spot is a place for a chunk.
type spot struct {
	file  *intake
	index int
}

func newLoad(r *replica) *load {
	return &load{r: r, byRoot: map[chunker.ID]*intake{}, spots: map[chunker.ID][]spot{}}
}

// add takes in a step; what lies on this disk already is put in place at once.
func (l *load) add(ctx context.Context, s folder.Step, m chunker.Manifest) error {
	if f := l.byRoot[s.Want.Root]; f != nil {
		f.steps = append(f.steps, s)
		return nil
	}
	f := &intake{root: s.Want.Root, manifest: m, steps: []folder.Step{s}}
	var missing []int
	if m.Size > smallFile {
		p, err := l.r.openPartial(ctx, f.root, m)
		if err != nil {
			return err
		}
		f.part, missing = p, p.Missing()
		l.r.fetched(0, heldOf(m, missing))
	} else {
		f.mem = make([][]byte, len(m.Chunks))
		for i := range m.Chunks {
			missing = append(missing, i)
		}
	}
	f.missing = len(missing)
	l.files, l.byRoot[f.root] = append(l.files, f), f
	for _, i := range missing {
		id := m.Chunks[i].ID
		l.spots[id] = append(l.spots[id], spot{f, i})
	}
	return nil
}

// heldOf is how much of a content is there but for the missing chunks.
func heldOf(m chunker.Manifest, missing []int) int64 {
	n := m.Size
	for _, i := range missing {
		n -= int64(m.Chunks[i].Size)
	}
	return n
}

// fetch fills the gaps, from this disk where it can be, else from members.
func (l *load) fetch(ctx context.Context) error {
	if err := l.fillLocally(ctx); err != nil {
		return err
	}
	wants := l.wants()
	if len(wants) > 0 {
		err := l.r.swarm.Fetch(ctx, swarm.Request{
			Pool: swarm.Pool(l.r.id), Peers: l.r.onlineMembers, Wants: wants,
			Put:      l.put,
			Progress: func(n int64) { l.r.fetched(0, n) },
		})
		var some *swarm.Incomplete
		if err != nil && !errors.As(err, &some) {
			return err
		}
		if some != nil {
			l.lackAll(why(err))
		}
	}
	return l.finish()
}

// wants lists each missing chunk once.
func (l *load) wants() []swarm.Want {
	var out []swarm.Want
	for _, f := range l.files {
		var at chunker.ID
		if f.part != nil {
			at = f.root
		}
		for i, c := range f.manifest.Chunks {
			if s := l.spots[c.ID]; len(s) > 0 && s[0] == (spot{f, i}) {
				out = append(out, swarm.Want{ID: c.ID, Size: c.Size, Root: at, Index: i})
			}
		}
	}
	return out
}

// fillLocally puts in place the chunks that other files on this disk hold.
func (l *load) fillLocally(ctx context.Context) error {
	buf := make([]byte, chunker.MaxChunk)
	for _, f := range l.files {
		for _, c := range f.manifest.Chunks {
			if len(l.spots[c.ID]) == 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := l.r.readLocal(c.ID, buf, true)
			if err != nil {
				continue // it is fetched like any other
			}
			if err := l.put(swarm.Want{ID: c.ID}, buf[:n]); err != nil {
				return err
			}
			l.r.fetched(0, int64(n))
		}
	}
	return nil
}

// put writes a verified chunk wherever it belongs.
func (l *load) put(w swarm.Want, b []byte) error {
	l.mu.Lock()
	spots := l.spots[w.ID]
	delete(l.spots, w.ID)
	l.mu.Unlock()
	for _, s := range spots {
		s.file.put(s.index, b)
		if s.file.complete() && s.file.part == nil {
			l.stage(s.file)
		}
	}
	return nil
}

// put keeps one chunk. Trouble stays with this file: the others go on.
func (f *intake) put(i int, b []byte) {
	var err error
	if f.part != nil {
		err = f.part.WriteChunk(i, b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.err = err
		return
	}
	if f.part == nil {
		f.mem[i] = append([]byte(nil), b...)
	}
	f.missing--
}

func (f *intake) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.missing == 0 && f.err == nil
}

// stage writes a small file to where Apply takes it from.
func (l *load) stage(f *intake) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.staged {
		return
	}
	f.staged = true
	for _, s := range f.steps {
		if err := l.r.fold.Stage(s.Path, s.Want, f.mem); err != nil {
			f.err = err
			break
		}
	}
	f.mem = nil
	l.r.fetched(int64(len(f.steps)), 0)
}

// finish completes partial files and notes what failed.
func (l *load) finish() error {
	for _, f := range l.files {
		switch {
		case f.err != nil:
		case f.part == nil && f.missing == 0:
			l.stage(f)
		case f.part != nil && f.missing == 0:
			f.err = f.part.Finish()
			l.r.fetched(int64(len(f.steps)), 0)
		}
		if f.err != nil {
			for _, s := range f.steps {
				l.block(s, f.err)
			}
		}
	}
	return nil
}

// ready are the steps whose content is complete.
func (l *load) ready() []folder.Step {
	var out []folder.Step
	for _, f := range l.files {
		if f.err != nil || f.missing > 0 {
			continue
		}
		for i, s := range f.steps {
			s.How = folder.Staged
			if f.part != nil {
				s.How = folder.Fetched
			}
			if i > 0 && f.part != nil {
				break // the next round copies it from the first
			}
			out = append(out, s)
		}
	}
	return out
}

// lackAll notes every file that is incomplete.
func (l *load) lackAll(message string) {
	for _, f := range l.files {
		if !f.complete() && f.err == nil {
			for _, s := range f.steps {
				l.lack(s, message)
			}
		}
	}
}

func (l *load) lack(s folder.Step, message string) {
	l.notes = append(l.notes, note{s.Path, reasonNobody, message})
}

func (l *load) block(s folder.Step, err error) {
	p := folder.ProblemFor(s.Path, err)
	l.notes = append(l.notes, note{s.Path, p.Code, p.Message})
}

// close lets go of partial files; what they hold stays for the next attempt.
func (l *load) close() {
	for _, f := range l.files {
		if f.part != nil {
			l.r.closePartial(f.root)
		}
	}
}
