package main

import (
	"context"
	"io"
	"sync"

	"github.com/bwaklog/meerkat/node"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars draws what is under way as progress bars, and lets lines of text pass
// above them. Its zero value with a writer is ready. Safe for concurrent use.
type bars struct {
	out io.Writer

	mu  sync.Mutex
	p   *mpb.Progress // nil while nothing is under way
	bar map[string]*mpb.Bar
}

// hasBars reports whether a person looks at stderr who wants to see progress.
func (a *app) hasBars() bool {
	return !a.quiet && !a.json && isTerminal(a.err) && a.getenv("TERM") != "dumb"
}

type watcher func(context.Context, func(node.Status) error) error

// showProgress draws bars on stderr from a stream of statuses, where a person
// looks at it, until stop is called.
func (a *app) showProgress(ctx context.Context, watch watcher) (stop func()) {
	if !a.hasBars() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); (&bars{out: a.err}).follow(ctx, watch) }()
	return func() { cancel(); <-done }
}

// follow draws until the stream or ctx ends. Bars are an extra: why the stream
// ended is no news.
func (b *bars) follow(ctx context.Context, watch watcher) {
	_ = watch(ctx, func(s node.Status) error { b.show(s); return nil })
	b.close()
}

// Write prints whole lines above the bars.
func (b *bars) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p == nil {
		return b.out.Write(text)
	}
	return b.p.Write(text)
}

// show makes the bars say what s says.
func (b *bars) show(s node.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := map[string]bool{}
	for _, p := range s.Pools {
		if p.Progress != nil {
			key := p.ID + p.Progress.Kind
			now[key] = true
			b.draw(key, clean(p.Name), *p.Progress)
		}
	}
	for key, bar := range b.bar {
		if !now[key] {
			bar.SetTotal(-1, true)
			delete(b.bar, key)
		}
	}
	if len(b.bar) == 0 {
		b.endLocked()
	}
}

func (b *bars) draw(key, name string, p node.Progress) {
	if b.p == nil {
		b.p = mpb.New(mpb.WithOutput(b.out), mpb.WithWidth(40), mpb.WithAutoRefresh())
		b.bar = map[string]*mpb.Bar{}
	}
	bar := b.bar[key]
	if bar == nil {
		bar = b.p.AddBar(0, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name(barTitle(name, p))), mpb.AppendDecorators(measures(p)...))
		b.bar[key] = bar
	}
	done, total := p.DoneBytes, p.TotalBytes
	if !byBytes(p) {
		done, total = p.DoneFiles, p.TotalFiles
	}
	// A bar that reaches its total is over for mpb: leave it open until the status says so.
	bar.SetTotal(max(total, done+1), false)
	bar.SetCurrent(done)
}

// byBytes reports whether bytes say better than files how far p is.
func byBytes(p node.Progress) bool { return p.TotalBytes > 0 || p.DoneBytes > 0 }

func barTitle(name string, p node.Progress) string {
	if p.Kind == "fetch" {
		return name + " fetching "
	}
	return name + " indexing "
}

// measures are done and total, rate, and time left.
func measures(p node.Progress) []decor.Decorator {
	left := decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)
	if !byBytes(p) {
		return []decor.Decorator{decor.CountersNoUnit(" %d / %d files"), decor.AverageSpeed(0, " %.0f/s"), left}
	}
	return []decor.Decorator{
		decor.Counters(decor.SizeB1000(0), " % .1f / % .1f"),
		decor.AverageSpeed(decor.SizeB1000(0), " % .1f"), left,
	}
}

// endLocked takes the bars away and waits for their goroutines.
func (b *bars) endLocked() {
	if b.p == nil {
		return
	}
	for _, bar := range b.bar {
		bar.Abort(true)
	}
	b.p.Wait()
	b.p, b.bar = nil, nil
}

func (b *bars) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endLocked()
}
