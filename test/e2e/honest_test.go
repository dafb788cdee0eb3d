package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// What bounds hostile members does not touch an honest one that has more to say
// at once than any author may have waiting.
func TestManyFilesAtOnceAreNoOffence(t *testing.T) {
	const files = 51_000
	l, a, b := two(t)
	for i := range files {
		a.Write(fmt.Sprintf("d%02d/f%05d", i%64, i), fmt.Sprint(i))
	}
	l.EqualWithin(10*time.Minute, a, b)
	if n := b.Status().Pools[0].Files; n < files {
		t.Errorf("%d files on b, want %d", n, files)
	}
	for _, h := range []*lab.Host{a, b} {
		for _, line := range strings.Split(h.Cli("events", "--json"), "\n") {
			var e struct{ Type, Detail string }
			if json.Unmarshal([]byte(line), &e) == nil && e.Type == "member.misbehaves" {
				t.Errorf("%s was told: %s", h.Name, e.Detail)
			}
		}
	}
}
