package node

import (
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
)

func TestClocksFarApartAreToldOf(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		ahead, linked time.Duration
		want          string
	}{
		"alike":                       {time.Second, time.Hour, ""},
		"led by others for an hour":   {time.Hour, time.Hour, ""},
		"ahead":                       {5 * time.Hour, 0, "5 hours ahead of"},
		"far ahead":                   {9 * day, 0, "9 days ahead of"},
		"behind":                      {-5 * day, time.Minute, "5 days behind"},
		"an old report, brought late": {-5 * day, time.Second, ""},
	} {
		got := skewText("pi", c.ahead, c.linked)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q in it", name, got, c.want)
		}
	}
}

// A member whose clock was ahead, and is right now, is heard again.
func TestReportsAfterAClockWasSetRight(t *testing.T) {
	var b reportBook
	p := someID(t)
	at := func(d time.Duration) *report { return &report{Node: p, Time: event.HLCOf(time.Now().Add(d))} }
	for _, step := range []struct {
		name string
		rep  *report
		want bool
	}{
		{"three days ahead", at(72 * time.Hour), true},
		{"set right", at(0), true},
		{"an older one", at(-time.Minute), false},
		{"a newer one", at(time.Minute), true},
	} {
		if got := b.add(step.rep, nil); got != step.want {
			t.Errorf("%s: taken is %v, want %v", step.name, got, step.want)
		}
	}
}
