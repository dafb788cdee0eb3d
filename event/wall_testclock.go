//go:build testclock

package event

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wall is a clock that is as wrong as MEERKAT_TEST_CLOCK says, in a program that was built to be tested so:
//
//	+86400s,rate=1.5,jump@30s=-3600
//
// is a day ahead at the start, gains half a second each second, and jumps an hour back after half a minute.
func wall() time.Time { return testClock().at(time.Now()) }

// wrongness is how a clock is wrong.
type wrongness struct {
	start time.Time
	off   time.Duration
	rate  float64
	jumps []jump
}

type jump struct{ after, by time.Duration }

var testClock = sync.OnceValue(func() wrongness {
	w, err := parseWrongness(os.Getenv("MEERKAT_TEST_CLOCK"), time.Now())
	if err != nil {
		panic("MEERKAT_TEST_CLOCK: " + err.Error()) // a test that sets it wrongly
	}
	return w
})

// at is what the clock shows at now.
func (w wrongness) at(now time.Time) time.Time {
	since := now.Sub(w.start)
	out := now.Add(w.off + time.Duration(float64(since)*(w.rate-1)))
	for _, j := range w.jumps {
		if since >= j.after {
			out = out.Add(j.by)
		}
	}
	return out
}

func parseWrongness(text string, start time.Time) (wrongness, error) {
	w := wrongness{start: start, rate: 1}
	for part := range strings.SplitSeq(text, ",") {
		var err error
		name, value, named := strings.Cut(part, "=")
		at, isJump := strings.CutPrefix(name, "jump@")
		switch {
		case part == "":
		case name == "rate":
			w.rate, err = strconv.ParseFloat(value, 64)
		case isJump:
			var j jump
			if j.after, err = seconds(at); err == nil {
				j.by, err = seconds(value)
			}
			w.jumps = append(w.jumps, j)
		case named:
			err = fmt.Errorf("no such setting: %q", name)
		default:
			w.off, err = seconds(part)
		}
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

// seconds reads "+86400s", "-3600" or "30s".
func seconds(text string) (time.Duration, error) {
	return time.ParseDuration(strings.TrimSuffix(text, "s") + "s")
}
