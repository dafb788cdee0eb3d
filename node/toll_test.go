package node

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Circuits share what a relay may carry alike, whatever each of them wants.
func TestCircuitsShareAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, d = 1 << 20, 30 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(d, cancel)
		s := toll{ctx, newLimiter(limit)}
		var got [4]int
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				for ctx.Err() == nil {
					got[i] += 64 << 10 // a circuit that always has more
					s.BytesTransferred(64 << 10)
				}
			})
		}
		wg.Wait()
		sum := 0
		for i, n := range got {
			sum += n
			if fair := limit * int(d.Seconds()) / len(got); n < fair*8/10 || n > fair*12/10 {
				t.Errorf("circuit %d carried %d bytes, want about %d", i, n, fair)
			}
		}
		if most := limit*int(d.Seconds()) + mostBurst + len(got)*(64<<10); sum > most {
			t.Errorf("%d bytes were carried in %v, want at most %d", sum, d, most)
		}
	})
}

// A limit that is taken away while circuits wait frees them.
func TestRelayLimitIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := toll{t.Context(), newLimiter(1 << 10)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.BytesTransferred(1 << 20) // a quarter of an hour
		}()
		time.Sleep(10 * time.Second)
		setRate(s.rate, 0)
		time.Sleep(10 * time.Second)
		select {
		case <-done:
		default:
			t.Error("still waits though there is no limit any more")
			<-done
		}
	})
}
