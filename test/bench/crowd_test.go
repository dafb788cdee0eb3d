package bench

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestCrowd gives one file to four others at once. What one has they give to
// each other: the one who had it first uploads it about once.
func TestCrowd(t *testing.T) {
	const mbit = 1_000_000
	for _, w := range []struct {
		name         string
		wire         lab.Wire
		time, copies bar
	}{
		{"", lab.Wire{}, atMost(6.3, "%.1f s"), atMost(4.2, "%.1f")},
		{", each link 100 Mbit/s", lab.Wire{RTT: 2 * time.Millisecond, Rate: 100 * mbit}, atMost(42, "%.0f s"), atMost(1.3, "%.1f")},
	} {
		t.Run("1 to 4"+w.name, func(t *testing.T) {
			l := lab.New(t, "a", "b", "c", "d", "e")
			a := l.Hosts[0]
			if w.wire.Rate > 0 {
				for _, h := range l.Hosts {
					h.Wired(w.wire)
				}
			}
			l.Pool(l.Hosts...)
			const size = 256 << 20
			noise(t, beside(a, "big"), size)
			_, before := wire(t, a)
			start := time.Now()
			a.OK(os.Rename(beside(a, "big"), a.Path("big")))
			for _, h := range l.Hosts[1:] {
				visible(t, h.Path("big"), size, 4*time.Minute)
			}
			took := time.Since(start)
			_, after := wire(t, a)
			beside := ""
			if w.wire.Rate > 0 {
				beside = fmt.Sprintf("%.2f × line", took.Seconds()*float64(w.wire.Rate)/8/size)
			}
			add("256 MiB from 1 to 4 members"+w.name, "%.2f s", took.Seconds(), "Syncthing 6.3 s, 42 to 48 s shaped", beside, w.time)
			add("  copies that the first uploads", "%.2f", float64(after-before)/size, "Syncthing 4.2, 1.7 to 2.2 shaped", "", w.copies)
			peak, _ := rss(t, a)
			add("  resident memory of the first, peak", "%.0f MB", peak, "Syncthing 190 to 220 MB", "", atMost(190, "%.0f MB"))
			l.Equal(l.Hosts...)
		})
	}
}
