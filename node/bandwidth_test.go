package node

import (
	"testing"
	"time"
)

func TestRateWindows(t *testing.T) {
	set := Settings{RateUp: 10, RateDown: 20, RateWindows: []string{
		"mon-fri 08:00-18:00 up=1kB down=2kB",
		"sat,sun 22:00-06:00 up=3kB",
		"00:00-24:00 down=0",
	}}
	for _, c := range []struct {
		at       string // 2026-11-23 is a Monday
		up, down int64
	}{
		{"2026-11-23T08:00:00Z", 1000, 2000},
		{"2026-11-23T17:59:59Z", 1000, 2000},
		{"2026-11-23T18:00:00Z", 10, 0},
		{"2026-11-28T10:00:00Z", 10, 0},
		{"2026-11-28T23:00:00Z", 3000, 20},
		{"2026-11-29T05:59:00Z", 3000, 20}, // of the night of Saturday
		{"2026-11-30T03:00:00Z", 3000, 20}, // of the night of Sunday
		{"2026-11-28T05:00:00Z", 10, 0},    // of the night of Friday
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if up, down := set.rates(at); up != c.up || down != c.down {
			t.Errorf("rates at %s = %d, %d; want %d, %d", c.at, up, down, c.up, c.down)
		}
	}
	for _, bad := range []string{"", "08:00-18:00", "mon", "mon-fri up=1", "xyz 08:00-09:00 up=1", "08:00 up=1", "8-18 up=1", "08:00-25:00 up=1", "08:00-09:00 sideways=1", "08:00-09:00 up=lots", "08:00-09:00 up"} {
		if w, err := parseWindow(bad); err == nil {
			t.Errorf("parseWindow(%q) = %+v, want an error", bad, w)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add("mon-fri 08:00-18:00 up=500kB down=2MB")
	f.Add("sat,sun 22:00-06:00 up=0")
	f.Fuzz(func(t *testing.T, s string) {
		w, err := parseWindow(s)
		if err != nil {
			return
		}
		if w.from < 0 || w.from > 24*60 || w.till < 0 || w.till > 24*60 || w.days == [7]bool{} || w.up < 0 && w.down < 0 {
			t.Errorf("parseWindow(%q) = %+v", s, w)
		}
	})
}
