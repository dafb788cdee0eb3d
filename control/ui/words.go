package ui

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// words are what the templates say things with.
var words = template.FuncMap{
	"clean": control.Clean, "size": size, "count": count, "amount": amount, "ago": ago, "span": span, "time": stamp, "iso": iso,
	"state": stateWords, "tone": tone, "link": linkWords, "short": short, "percent": percent, "headline": headline,
	"name": func(path, b64 string) string { return control.Clean(control.RawPath(path, b64)) },
	"p64":  func(path, b64 string) string { return encodePath(control.RawPath(path, b64)) },
	"dict": dict, "join": joined, "holds": holdsWords, "action": actionWords, "deed": deedWords, "sentence": sentence,
}

// encodePath carries a path, whatever its bytes, in a link or a form.
func encodePath(path string) string { return base64.RawURLEncoding.EncodeToString([]byte(path)) }

func size(n int64) string {
	if n < 0 {
		n = 0
	}
	return humanize.Bytes(uint64(n))
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

func amount(a node.Amount) string { return count(a.Files, "file", "files") + ", " + size(a.Bytes) }

// ago is a time for people, or "never". t is a time.Time or a *time.Time.
func ago(t any) string {
	at := moment(t)
	switch since := time.Since(at); {
	case at.IsZero():
		return "never"
	case since < time.Minute:
		return "just now"
	}
	return humanize.Time(at)
}

func stamp(t any) string { return moment(t).Local().Format("2006-01-02 15:04:05") }

func iso(t any) string { return moment(t).UTC().Format(time.RFC3339) }

func moment(t any) time.Time {
	switch t := t.(type) {
	case time.Time:
		return t
	case *time.Time:
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

// span is a duration in its two greatest units.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

var states = map[string]struct{ words, tone string }{
	node.StateStarting: {"Starting", "busy"},
	node.StateScanning: {"Looking for changes", "busy"},
	node.StateFetching: {"Fetching", "busy"},
	node.StateApplying: {"Applying changes", "busy"},
	node.StateInSync:   {"In sync", "good"},
	node.StateOffline:  {"Nobody else is online", "idle"},
	node.StatePaused:   {"Paused", "idle"},
	node.StateHalted:   {"Halted", "bad"},
}

func stateWords(s string) string {
	if w, ok := states[s]; ok {
		return w.words
	}
	return control.Clean(s)
}

// tone is the class that colours a state; the words say the same.
func tone(s string) string {
	if w, ok := states[s]; ok {
		return w.tone
	}
	return "idle"
}

// headline is the whole node in one phrase, and its tone.
func headline(s node.Status) [2]string {
	waiting, tones := 0, map[string]int{}
	for _, p := range s.Pools {
		waiting += p.NeedsYou
		tones[tone(p.State)]++
	}
	switch {
	case tones["bad"] > 0:
		return [2]string{count(int64(tones["bad"]), "pool is halted", "pools are halted"), "bad"}
	case waiting > 0:
		return [2]string{count(int64(waiting), "thing needs you", "things need you"), "warn"}
	case tones["busy"] > 0:
		return [2]string{"Working", "busy"}
	case len(s.Pools) == 0:
		return [2]string{"No pool yet", "idle"}
	case tones["idle"] == len(s.Pools):
		return [2]string{stateWords(s.Pools[0].State), "idle"}
	}
	return [2]string{"Everything is in sync", "good"}
}

func linkWords(l node.Link) string {
	switch l.Kind {
	case "self":
		return "this node"
	case "", "none":
		return "no link"
	}
	how := strings.TrimSuffix(l.Transport, "-v1")
	if l.RTTms > 0 {
		return fmt.Sprintf("%s %s, %d ms", l.Kind, how, l.RTTms)
	}
	return l.Kind + " " + how
}

func short(id string) string {
	if len(id) <= 10 {
		return control.Clean(id)
	}
	return control.Clean("…" + id[len(id)-8:])
}

func percent(b *bar) int {
	if b.Max <= 0 {
		return 0
	}
	return int(min(100, 100*b.Value/b.Max))
}

func holdsWords(m node.WhyMember) string {
	switch m.State {
	case node.HoldsAll:
		return "has it"
	case node.HoldsPart:
		return fmt.Sprintf("has %d %% of it", m.Percent)
	case node.HoldsNone:
		return "lacks it"
	case node.HoldsUnaware:
		return "has not heard of it"
	case node.HoldsIgnores:
		return "ignores it"
	}
	return "nobody knows"
}

func actionWords(action string) string {
	switch action {
	case "created", "changed", "deleted":
		return action
	case "settled":
		return "settled a conflict in"
	case "mode":
		return "changed the mode of"
	case "kept":
		return "was kept"
	}
	return control.Clean(action)
}

// deedWords is actionWords where what it was done to is plain.
func deedWords(action string) string {
	words, _ := strings.CutSuffix(actionWords(action), " of")
	words, _ = strings.CutSuffix(words, " in")
	return words
}

// sentence begins with a capital letter, and ends.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	if s = string(unicode.ToUpper(r)) + s[n:]; !strings.ContainsAny(s[len(s)-1:], ".?!") {
		s += "."
	}
	return s
}

// dict makes a map of a template's arguments, so that one template can hand
// several things to another.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: %d arguments", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

func joined(values []string) string { return control.Clean(strings.Join(values, " ")) }
