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

// What waits for a directory to become empty is tried again at once: that must not go round and round for a second.
func TestStubbornPathIsNotTriedWithoutEnd(t *testing.T) {
	var s stubborn
	now := time.Now()
	for range stubbornHot - 1 {
		if s.again("f", now) {
			t.Fatal("it is to be tried again at once")
		}
	}
	if !s.again("f", now) {
		t.Errorf("after %d tries in no time it is to wait", stubbornHot)
	}
}
