package node

import (
	"testing"
	"time"
)

func TestStubbornPathsAreTriedWithPauses(t *testing.T) {
	var s stubborn
	now := time.Now()
	for i := range 50 {
		if s.again("f", now) {
			t.Fatalf("try %d within the same moment has to wait already", i)
		}
	}
	if !s.again("f", now.Add(stubbornAfter)) {
		t.Error("a path that is not as known for long is tried at once")
	}
	if s.again("g", now.Add(stubbornAfter)) {
		t.Error("another path has to wait as well")
	}
	s.over("f")
	if s.again("f", now.Add(2*stubbornAfter)) {
		t.Error("what came to an end counts still")
	}
}
