package main

import (
	"math"
	"testing"
)

func TestThriftWaitsForTheEndOfABurst(t *testing.T) {
	var th thrift
	steps := []struct {
		what  string
		add   uint64
		trims bool
	}{
		{"little happens at first", 1 << 20, false},
		{"a burst", 200 << 20, false},
		{"it goes on", 10 << 20, false},
		{"it is over", 1 << 20, true},
		{"still quiet", 1 << 20, false},
		{"a small burst is not worth it", 10 << 20, false},
		{"quiet", 1 << 20, false},
		{"small bursts add up", 12 << 20, false},
		{"quiet once more", 0, true},
	}
	var now uint64
	for _, s := range steps {
		now += s.add
		if got := th.due(now); got != s.trims {
			t.Errorf("%s (%d bytes more): trim %v, want %v", s.what, s.add, got, s.trims)
		}
	}
}

func TestMemoryLimitFollowsTheMachine(t *testing.T) {
	for total, want := range map[uint64]int64{0: math.MaxInt64, 512 << 20: 512 << 20 / 3, math.MaxUint64: math.MaxUint64 / 3} {
		if got := memoryLimit(total); got != want {
			t.Errorf("memoryLimit(%d) = %d, want %d", total, got, want)
		}
	}
}
