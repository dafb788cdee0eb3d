package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestRewindRansom: one member's files are scrambled by a script while another
// edits some of them: the scrambling is undone, the edits stay.
func TestRewindRansom(t *testing.T) {
	l, a, b := two(t)
	for i := range 220 {
		a.Put(fmt.Sprintf("docs/%03d.txt", i), fmt.Sprintf("document %d", i))
	}
	a.Cli("scan")
	l.Equal(a, b)
	since := time.Now().UTC().Format(time.RFC3339Nano)
	for i := range 200 {
		b.Put(fmt.Sprintf("docs/%03d.txt", i), string(lab.Noise(uint64(i), 100)))
	}
	for i := 200; i < 220; i++ {
		a.Put(fmt.Sprintf("docs/%03d.txt", i), fmt.Sprintf("document %d, edited", i))
	}
	a.Cli("scan")
	b.Cli("scan")
	l.Equal(a, b)
	a.Cli("rewind", "--by", b.Name, "--since", since, "--yes")
	l.Equal(a, b)
	for i := range 220 {
		want := fmt.Sprintf("document %d", i)
		if i >= 200 {
			want += ", edited"
		}
		b.Want(fmt.Sprintf("docs/%03d.txt", i), want)
	}
}
