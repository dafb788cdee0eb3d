package metrics_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/control/metrics"
)

// TestContribKnowsTheNames: what the dashboard and the alert rules ask for is
// what a node shows.
func TestContribKnowsTheNames(t *testing.T) {
	s := metrics.New()
	s.Delivered(time.Second)
	_, text := scrape(t, s, source{s: status()})
	for _, file := range []string{"grafana/meerkat.json", "prometheus/alerts.yml"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "contrib", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`meerkat_[a-z_]+[a-z]`).FindAllString(string(b), -1)
		if len(names) < 7 {
			t.Errorf("%s asks for %d metrics", file, len(names))
		}
		for _, name := range names {
			if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s asks for %s, which no node shows", file, name)
			}
		}
	}
}
