package node

import (
	"context"
	"testing"
)

// A fetch outlives the turn that began it: only a pause, or the end, cuts it off.
func TestATurnEndsWhatIsUnderWayOnlyWhenPaused(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	var ts turns
	first := ts.next(ctx)
	if ts.next(ctx); first.Err() != nil {
		t.Error("the next turn cut off what the first one left under way")
	}
	ts.stop() // as a pause does
	if first.Err() == nil {
		t.Error("a pause left a fetch under way")
	}
	second := ts.next(ctx)
	if second.Err() != nil {
		t.Error("after a pause no turn can begin")
	}
	if end(); second.Err() == nil {
		t.Error("the end left a fetch under way")
	}
}
