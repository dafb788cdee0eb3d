package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A report keeps the program's own words, and no word of the person's.
func TestScrub(t *testing.T) {
	files := []*reportFile{
		{"status.json", []any{map[string]any{
			"name": "ana", "path": "/home/ana/Sync", "link": map[string]any{"kind": "direct", "addr": "/ip4/10.0.0.7/tcp/7716"},
			"halted_why": "open /home/ana/Sync: it is gone", "state": "halted",
			"notices": []any{"ana's analogue of direct links"},
		}}},
		{"events.json", []any{
			map[string]any{"type": "problem", "path": "dir/secret plans.txt", "detail": "unreadable: secret plans.txt of dir: denied"},
			map[string]any{"type": "problem", "path": "state", "detail": "io_error: ticket mkt1abc and /dns4/example.org/tcp/1"},
		}},
		{"why.json", []any{map[string]any{"pool": "ana", "cause": "it is here"}}},
	}
	newScrub().all(files)
	b, err := json.Marshal([]any{files[0].objects, files[1].objects, files[2].objects})
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, word := range []string{"secret", "Sync", "/home/", `"ana"`, "ana's", "10.0.0.7", "example.org", "mkt1abc", " of dir:"} {
		if strings.Contains(got, word) {
			t.Errorf("the report still says %q: %s", word, got)
		}
	}
	for _, word := range []string{`"kind":"direct"`, `"state":"halted"`, "analogue of direct links", `"type":"problem"`, "it is gone", "/ip4/addr-", "denied"} {
		if !strings.Contains(got, word) {
			t.Errorf("the report has lost %q: %s", word, got)
		}
	}
}
