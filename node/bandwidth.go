package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// rateWindow is a part of the week in which other limits count.
type rateWindow struct {
	days       [7]bool // by time.Weekday: on which it begins
	from, till int     // minutes of the day; till at or before from is on the day after
	up, down   int64   // bytes a second, 0 is no limit, negative: what counts otherwise
}

var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseWindow reads a window such as "mon-fri 08:00-18:00 up=500kB down=2MB".
// The days may be left out, and one of the limits.
func parseWindow(s string) (rateWindow, error) {
	w := rateWindow{up: -1, down: -1}
	words := strings.Fields(strings.ToLower(s))
	if len(words) > 0 && !strings.Contains(words[0], ":") {
		if err := w.takeDays(words[0]); err != nil {
			return w, err
		}
		words = words[1:]
	} else {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	if len(words) < 2 {
		return w, errors.New(`it is written like "mon-fri 08:00-18:00 up=500kB down=2MB"`)
	}
	if err := w.takeTimes(words[0]); err != nil {
		return w, err
	}
	for _, word := range words[1:] {
		if err := w.takeLimit(word); err != nil {
			return w, err
		}
	}
	return w, nil
}

// takeDays reads days and spans of them, such as "mon-thu,sat".
func (w *rateWindow) takeDays(s string) error {
	for _, part := range strings.Split(s, ",") {
		first, last, span := strings.Cut(part, "-")
		if !span {
			last = first
		}
		from, till := dayNumber(first), dayNumber(last)
		if from < 0 || till < 0 {
			return fmt.Errorf("%q is no day or span of days such as mon-fri", part)
		}
		for d := from; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == till {
				break
			}
		}
	}
	return nil
}

func dayNumber(s string) int {
	for i, name := range dayNames {
		if s == name {
			return i
		}
	}
	return -1
}

func (w *rateWindow) takeTimes(s string) (err error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return fmt.Errorf("%q is no span of hours such as 08:00-18:00", s)
	}
	if w.from, err = minuteOf(first); err != nil {
		return err
	}
	w.till, err = minuteOf(last)
	return err
}

// minuteOf reads a time of the day; 24:00 is the end of it.
func minuteOf(s string) (int, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day such as 08:30", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func (w *rateWindow) takeLimit(s string) error {
	name, value, _ := strings.Cut(s, "=")
	bytes, err := humanize.ParseBytes(value)
	switch {
	case err != nil || bytes > 1<<62:
		return fmt.Errorf("%q is no limit such as up=500kB", s)
	case name == "up":
		w.up = int64(bytes)
	case name == "down":
		w.down = int64(bytes)
	default:
		return fmt.Errorf("%q is no limit: there are up and down", s)
	}
	return nil
}

// holds reports whether w counts at a time, by the clock on the wall.
func (w *rateWindow) holds(now time.Time) bool {
	m, day := now.Hour()*60+now.Minute(), int(now.Weekday())
	if w.from < w.till {
		return w.days[day] && w.from <= m && m < w.till
	}
	return w.days[day] && m >= w.from || w.days[(day+6)%7] && m < w.till
}

func checkWindow(s string) error {
	_, err := parseWindow(s)
	return err
}

// rates are the limits that count at a time: of the first window that holds,
// else those of every hour.
func (s *Settings) rates(now time.Time) (up, down int64) {
	up, down = s.RateUp, s.RateDown
	for _, text := range s.RateWindows {
		w, err := parseWindow(text)
		if err != nil || !w.holds(now) { // the settings are checked
			continue
		}
		if w.up >= 0 {
			up = w.up
		}
		if w.down >= 0 {
			down = w.down
		}
		break
	}
	return up, down
}

// followWindows changes the limits when a window begins or ends. It looks at
// the clock once a minute, which also sees one that was set, and summer come.
func (n *Node) followWindows(ctx context.Context) error {
	for sleep(ctx, time.Minute-time.Duration(time.Now().Second())*time.Second) {
		n.limit()
	}
	return nil
}

// limit makes the limits those of now.
func (n *Node) limit() {
	s := n.home.Settings()
	up, down := s.rates(time.Now())
	setRate(n.up, up)
	setRate(n.down, down)
}
