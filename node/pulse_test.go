package node

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pulse
		is := func(want string) {
			t.Helper()
			if got := p.stuck(); got != want {
				t.Errorf("stuck = %q, want %q", got, want)
			}
		}
		is("")
		p.begin("scanning", 0)
		time.Sleep(stepMost - time.Second)
		is("")
		p.begin("scanning", 0) // it moves
		time.Sleep(stepMost - time.Second)
		is("")
		time.Sleep(time.Second)
		is("scanning")
		p.rest()
		is("")
		p.begin("applying", leastRate*3600) // an hour's worth
		time.Sleep(stepMost + time.Hour - time.Second)
		is("")
		time.Sleep(time.Second)
		is("applying")
		p.begin("applying", 1<<62)
		time.Sleep(24 * time.Hour)
		is("")
	})
}

func TestPulses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s pulses
		end := s.begin("one", 0)
		time.Sleep(time.Minute)
		defer s.begin("two", 0)()
		if got := len(s.all()); got != 2 {
			t.Errorf("%d steps under way, want 2", got)
		}
		end()
		if all := s.all(); len(all) != 1 || all[0].step != "two" {
			t.Errorf("after the end of one: %v", all)
		}
	})
}
