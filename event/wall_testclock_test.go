//go:build testclock

package event

import (
	"testing"
	"time"
)

func TestWrongClocks(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	tests := map[string]struct{ at30, at60 time.Duration }{
		"":                                {0, 0},
		"+86400s":                         {24 * time.Hour, 24 * time.Hour},
		"-10":                             {-10 * time.Second, -10 * time.Second},
		"rate=1.5":                        {15 * time.Second, 30 * time.Second},
		"jump@31s=-3600":                  {0, -time.Hour},
		"+86400s,rate=1.0,jump@30s=-3600": {23 * time.Hour, 23 * time.Hour},
	}
	for text, c := range tests {
		w, err := parseWrongness(text, start)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for after, want := range map[time.Duration]time.Duration{30 * time.Second: c.at30, time.Minute: c.at60} {
			now := start.Add(after)
			if got := w.at(now).Sub(now); got != want {
				t.Errorf("%q after %v: wrong by %v, want %v", text, after, got, want)
			}
		}
	}
	for _, text := range []string{"fast", "rate=x", "jump@x=1", "jump@1=x", "off=3"} {
		if w, err := parseWrongness(text, start); err == nil {
			t.Errorf("%q is %+v", text, w)
		}
	}
}
