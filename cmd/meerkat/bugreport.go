package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

const bugEvents = 2000 // the newest that go into a report

func (a *app) bugreportCmd() *cobra.Command {
	var out string
	var names bool
	c := command("bugreport", "A support bundle, without secrets and file names", `  meerkat bugreport                   # meerkat-bugreport-….tar.gz in this directory
  meerkat bugreport -o - | tar tz     # what is in it
  meerkat bugreport --keep-names      # file names, names and addresses as they are`, takes(0, 0), func(ctx context.Context, _ []string) error {
		if out == "" {
			out = "meerkat-bugreport-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
		}
		files := a.gatherReport(ctx)
		if !names {
			newScrub().all(files)
		}
		if out == "-" {
			return bundle(a.out, files)
		}
		if err := writeNew(out, func(w io.Writer) error { return bundle(w, files) }); err != nil {
			return err
		}
		if a.json {
			return a.object(reportPath{"meerkat.bugreport/v1", out})
		}
		return a.print("%s", clean(out))
	})
	c.Long = "Gather what helps to find a fault: versions, status, settings, recent events. Tickets never go in; file\nnames, names of people and machines, and addresses are replaced by marks unless --keep-names is given."
	c.Flags().StringVarP(&out, "output", "o", "", "write it to this `FILE` (- is stdout)")
	c.Flags().BoolVar(&names, "keep-names", false, "keep file names, names and addresses")
	c.ValidArgsFunction = cobra.NoFileCompletions
	return c
}

// reportPath is the answer of bugreport.
type reportPath struct {
	Schema string `json:"schema"`
	Path   string `json:"path"`
}

// reportFile is one file of a bundle: objects of JSON.
type reportFile struct {
	name    string
	objects []any
}

// gatherReport asks everybody who may know something. What cannot be had is told in the report itself.
func (a *app) gatherReport(ctx context.Context) []*reportFile {
	about := map[string]any{
		"version": buildVersion(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": runtime.NumCPU(),
		"time": time.Now().UTC().Format(time.RFC3339),
	}
	if b, err := os.ReadFile("/proc/version"); err == nil {
		about["kernel"] = strings.TrimSpace(string(b))
	}
	for _, name := range []string{"/proc/sys/fs/inotify/max_user_watches", "/proc/sys/net/core/rmem_max"} {
		if b, err := os.ReadFile(name); err == nil {
			about[name] = strings.TrimSpace(string(b))
		}
	}
	files := []*reportFile{{"about.json", []any{about}}}
	add := func(name string, f func(control.Backend) ([]any, error)) {
		var objects []any
		err := a.running(func(b control.Backend) (err error) { objects, err = f(b); return err })
		if err != nil {
			objects = append(objects, json.RawMessage(control.MarshalError(err)))
		}
		files = append(files, &reportFile{name, objects})
	}
	add("status.json", func(b control.Backend) ([]any, error) { s, err := b.Status(ctx); return []any{s}, err })
	add("settings.json", func(b control.Backend) ([]any, error) { return anys(b.SettingList(ctx)) })
	add("why.json", func(b control.Backend) ([]any, error) { w, err := b.Why(ctx, a.pool, ""); return []any{w}, err })
	add("events.json", func(b control.Backend) ([]any, error) {
		var last []any
		err := b.Events(ctx, "", false, func(e node.EventInfo) error {
			last = append(last, e)
			if len(last) > 2*bugEvents {
				last = slices.Clone(last[bugEvents:])
			}
			return nil
		})
		return last[max(0, len(last)-bugEvents):], err
	})
	return files
}

func anys[T any](vs []T, err error) ([]any, error) {
	out := make([]any, len(vs))
	for i, v := range vs {
		out[i] = v
	}
	return out, err
}

// scrub replaces what is private by marks: the same thing gets the same mark within one report, and none can be guessed back.
type scrub struct {
	key   [16]byte
	marks map[string]string
}

func newScrub() *scrub {
	s := &scrub{marks: map[string]string{}}
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

// private are the fields that hold what is replaced, by the kind of their mark.
var private = map[string]string{
	"path": "path", "copy": "path", "name": "name", "by_name": "name", "kept_by_name": "name",
	"addr": "addr", "addrs": "addr", "path_b64": "path", "copy_b64": "path",
}

// fixed are the fields whose words are the program's own, or ids: what they say is left as it is.
var fixed = map[string]bool{
	"schema": true, "kind": true, "state": true, "type": true, "role": true, "transport": true, "code": true, "action": true,
	"id": true, "by": true, "kept_by": true, "cursor": true, "key": true, "source": true, "version": true, "reason": true,
	"reachability": true, "root": true, "time": true, "since": true, "last_seen": true,
}

var (
	ticketText = regexp.MustCompile(`mkt1[A-Za-z0-9_-]+`)
	addrText   = regexp.MustCompile(`/(ip4|ip6|dns|dns4|dns6|dnsaddr)/[^/\s",]+`)
)

// all scrubs files in place. What cannot be turned into plain JSON is left out.
func (s *scrub) all(files []*reportFile) {
	for _, f := range files {
		for i, o := range f.objects {
			b, err := json.Marshal(o)
			var plain any
			if err == nil {
				err = json.Unmarshal(b, &plain)
			}
			if err != nil {
				plain = nil
			}
			f.objects[i] = plain
			s.learn("", plain)
		}
	}
	words := make([]string, 0, len(s.marks))
	for w := range s.marks {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, f := range files {
		for i := range f.objects {
			f.objects[i] = s.replace("", f.objects[i], words)
		}
	}
}

// learn finds the private words in v.
func (s *scrub) learn(field string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			s.learn(k, x)
		}
	case []any:
		for _, x := range v {
			s.learn(field, x)
		}
	case string:
		kind := private[field]
		if kind == "" || kind == "addr" || v == "" {
			return
		}
		s.marks[v] = s.mark(kind, v)
		for _, part := range strings.Split(v, "/") { // a message may name a part of a path
			if kind == "path" && len(part) >= wordLeast {
				s.marks[part] = s.mark(kind, part)
			}
		}
	}
}

// wordLeast is the length of the shortest word that is looked for in a text.
const wordLeast = 3

func (s *scrub) mark(kind, v string) string {
	h := sha256.Sum256(append(s.key[:], v...))
	return kind + "-" + hex.EncodeToString(h[:4])
}

// replace gives v without private words: whole where a field holds one, and where a text mentions a long one.
func (s *scrub) replace(field string, v any, words []string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = s.replace(k, x, words)
		}
		return v
	case []any:
		for i, x := range v {
			v[i] = s.replace(field, x, words)
		}
		return v
	case string:
		if fixed[field] {
			return v
		}
		if m, ok := s.marks[v]; ok {
			return m
		}
		return s.text(v, words)
	}
	return v
}

func (s *scrub) text(v string, words []string) string {
	v = ticketText.ReplaceAllString(v, "TICKET")
	for _, w := range words {
		if len(w) >= wordLeast {
			v = replaceWord(v, w, s.marks[w])
		}
	}
	return addrText.ReplaceAllStringFunc(v, func(m string) string {
		parts := strings.SplitN(m, "/", 3)
		return "/" + parts[1] + "/" + s.mark("addr", parts[2])
	})
}

// replaceWord puts mark in place of w wherever it stands in v as a word of its own.
func replaceWord(v, w, mark string) string {
	var b strings.Builder
	for {
		i := strings.Index(v, w)
		if i < 0 {
			return b.String() + v
		}
		end := i + len(w)
		b.WriteString(v[:i])
		if wordByte(v, i-1) && wordByte(w, 0) || wordByte(v, end) && wordByte(w, len(w)-1) {
			b.WriteString(w)
		} else {
			b.WriteString(mark)
		}
		v = v[end:]
	}
}

func wordByte(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c >= 0x80 || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// bundle writes files as a compressed archive.
func bundle(w io.Writer, files []*reportFile) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		for _, o := range f.objects {
			if err := e.Encode(o); err != nil {
				return fmt.Errorf("write %s: %w", f.name, err)
			}
		}
		text := ticketText.ReplaceAll(b.Bytes(), []byte("TICKET")) // also where names are kept
		h := &tar.Header{Name: "meerkat-bugreport/" + f.name, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now()}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(text); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
