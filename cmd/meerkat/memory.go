package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/pbnjay/memory"
)

const (
	// gcPercent lets the heap grow by half before it is collected: it is small, and a byte held for nothing is one that
	// another program on the machine cannot use.
	gcPercent = 50
	memShare  = 3 // one part in so many of the machine's memory is what the runtime tries to stay within
	trimEvery = 3 * time.Second
	restBytes = 4 << 20  // allocated between two looks by a node that has nothing to do
	trimWorth = 24 << 20 // allocated since the last trim that make the next one worth its cost
)

// trim returns to the system what a burst of work needed, once it is over; by itself the runtime would keep it for minutes.
// It ends with ctx.
func trim(ctx context.Context) {
	if _, chosen := os.LookupEnv("GOGC"); !chosen {
		debug.SetGCPercent(gcPercent)
	}
	if _, chosen := os.LookupEnv("GOMEMLIMIT"); !chosen {
		debug.SetMemoryLimit(memoryLimit(memory.TotalMemory()))
	}
	var t thrift
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if t.due(allocated()) {
			debug.FreeOSMemory()
		}
	}
}

// memoryLimit is what to stay within on a machine of total bytes: on a small one the heap is collected earlier rather than
// that something is killed. Where the total is not known there is no limit.
func memoryLimit(total uint64) int64 {
	if total == 0 {
		return math.MaxInt64
	}
	return int64(min(total/memShare, math.MaxInt64))
}

// allocated is how many bytes of heap this process has ever asked for.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// thrift knows when a burst of work is over.
type thrift struct{ last, trimmed uint64 }

// due says, of a count of bytes that only grows, whether it is quiet now after much.
func (t *thrift) due(now uint64) bool {
	quiet := now-t.last < restBytes
	t.last = now
	if !quiet || now-t.trimmed < trimWorth {
		return false
	}
	t.trimmed = now
	return true
}
