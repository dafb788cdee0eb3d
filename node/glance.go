package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

const (
	glanceAfter = 250 * time.Millisecond // a scan that takes no longer finds it all by itself
	glanceMost  = 64                     // looked at in one go
	glanceOf    = 8192                   // of more nobody can tell which are single saves
)

// glanceLoop publishes what somebody saves while a scan is under way that
// takes long, as that of a very big file does. What it looks at stays due: it
// is early, and nothing depends on it.
func (r *replica) glanceLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.glanceNow.c:
		}
		if !sleep(ctx, glanceAfter) {
			return nil
		}
		if err := r.glance(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("glance", "pool", r.name(), "err", err)
		}
	}
}

func (r *replica) glance(ctx context.Context) error {
	paths := r.savedMeanwhile()
	if len(paths) == 0 || r.paused() || r.haltedWhy() != "" || !r.licence.held() {
		return nil
	}
	seen, err := r.fold.Glance(ctx, r.index0(), paths, quickFile)
	if err != nil {
		return err
	}
	seen = slices.DeleteFunc(seen, r.liesElsewhere)
	if len(seen) == 0 {
		return nil
	}
	return r.publish(seen)
}

// savedMeanwhile are the paths that became due since the scan under way began;
// of many, those that look like single saves.
func (r *replica) savedMeanwhile() []event.Path {
	paths := r.dueMeanwhile()
	if len(paths) > glanceMost {
		paths = lone(paths)
	}
	return paths[:min(len(paths), glanceMost)]
}

func (r *replica) dueMeanwhile() []event.Path {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.scanning || r.full || len(r.dirty) > glanceOf {
		return nil
	}
	return slices.Collect(maps.Keys(r.dirty))
}

// liesElsewhere says whether s may be the new name of something: then it is
// told together with what is gone.
func (r *replica) liesElsewhere(s folder.Seen) bool {
	if s.Value.Size == 0 {
		return false
	}
	homes, err := r.st.Copies(s.Value.Root, 1)
	return err != nil || len(homes) > 0
}
