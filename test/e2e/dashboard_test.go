package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// station is a node on loopback, where a browser can reach its dashboard.
type station struct {
	t         *testing.T
	home, dir string
	log       bytes.Buffer
}

// startStation runs a node with a pool in a folder of its own until the test ends.
func startStation(t *testing.T, name string, args ...string) *station {
	t.Helper()
	s := &station{t: t, home: filepath.Join(t.TempDir(), "home"), dir: filepath.Join(t.TempDir(), "Sync")}
	c := exec.Command(lab.Program, append([]string{"--home", s.home, "up", s.dir, "--name", name, "--mdns", "off", "--listen", "/ip4/127.0.0.1/tcp/0", "--ui", "127.0.0.1:0"}, args...)...)
	c.Stderr = &s.log
	if err := errors.Join(os.MkdirAll(s.dir, 0o755), c.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait() // interrupted
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &s.log)
		}
	})
	within(t, 30*time.Second, name+" answers", func() error { _, err := s.try("status"); return err })
	return s
}

func (s *station) try(args ...string) (string, error) {
	out, err := exec.Command(lab.Program, append([]string{"--home", s.home, "--timeout", "60s"}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

func (s *station) cli(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return out
}

func (s *station) write(name, text string) {
	s.t.Helper()
	s.put(name, text)
	s.cli("scan")
}

// put writes a file and leaves the finding to the node.
func (s *station) put(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) reads(name, want string) error {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err == nil && string(b) != want {
		err = fmt.Errorf("%s holds %q, want %q", name, b, want)
	}
	return err
}

func within(t *testing.T, limit time.Duration, what string, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, limit, err)
}

// tab is a page in a headless browser. What the page complains of fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func openTab(t *testing.T) *tab {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil && path == "" {
			path = p
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("no browser: chromium is not installed (apt-get install chromium)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(path), chromedp.WSURLReadTimeout(60*time.Second))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // events newer than the library
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(func() { cancel(); end(); stop() })
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw %s", e.ExceptionDetails.Error())
		case *cdplog.EventEntryAdded:
			if e.Entry.Source == cdplog.SourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
				t.Errorf("the page broke its own policy: %s", e.Entry.Text)
			}
		}
	})
	return &tab{t, ctx}
}

func (p *tab) do(acts ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, acts...); err != nil {
		p.t.Fatal(err)
	}
}

// js evaluates an expression into v.
func (p *tab) js(expr string, v any) error {
	return chromedp.Run(p.ctx, chromedp.Evaluate(expr, v, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
}

// sees waits until an element that a selector finds says text.
func (p *tab) sees(selector, text string) {
	p.t.Helper()
	within(p.t, 40*time.Second, "the page shows "+text, func() error {
		var all string
		expr := fmt.Sprintf("Array.from(document.querySelectorAll(%q)).map(e => e.innerText).join('\\n')", selector)
		if err := p.js(expr, &all); err != nil {
			return err
		}
		if !strings.Contains(all, text) {
			var where string
			_ = p.js("document.location.pathname + ', dialog open: ' + document.getElementById('dialog')?.open + ', panel: ' + document.getElementById('panel')?.textContent.slice(0, 200)", &where)
			return fmt.Errorf("%s says %.400q (%s)", selector, all, where)
		}
		return nil
	})
}

// press clicks the first button or link within selector that says text. It is
// done in the page, so that a renewal between finding and clicking does not matter.
func (p *tab) press(selector, text string) {
	p.t.Helper()
	within(p.t, 30*time.Second, "press "+text, func() error {
		var ok bool
		expr := fmt.Sprintf("(() => { if (document.querySelector('.htmx-settling,.htmx-swapping,.htmx-request')) return false; const e = Array.from(document.querySelectorAll(%q)).find(e => e.innerText.includes(%q)); if (e) e.click(); return !!e })()", selector, text)
		if err := p.js(expr, &ok); err != nil || !ok {
			return fmt.Errorf("there is no %q in %s: %v", text, selector, err)
		}
		return nil
	})
}

func (p *tab) close() {
	p.t.Helper()
	p.press("#panel-close", "Close")
	within(p.t, 10*time.Second, "the panel closes", func() error {
		var open bool
		if err := p.js("document.getElementById('dialog').open", &open); err != nil || open {
			return fmt.Errorf("open: %v %v", open, err)
		}
		return nil
	})
}

// looks takes the screen at a width and a theme, checks that nothing sticks out
// at the side, and has axe-core look for what keeps people out. The picture
// goes to $MEERKAT_SHOTS, where that is set.
func (p *tab) looks(name string, width int64, theme string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, 900),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
	var wide int64
	if err := p.js("document.documentElement.scrollWidth", &wide); err != nil || wide > width {
		p.t.Errorf("%s: at %d px the page is %d px wide (%v)", name, width, wide, err)
	}
	if dir := os.Getenv("MEERKAT_SHOTS"); dir != "" {
		var png []byte
		p.do(chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), png, 0o644); err != nil {
			p.t.Error(err)
		}
	}
	axe, err := os.ReadFile("testdata/axe/axe-core-4.11.0.min.js")
	if err != nil {
		p.t.Fatal(err)
	}
	var found string
	err = errors.Join(
		chromedp.Run(p.ctx, chromedp.Evaluate("window.axe || ("+`(() => { `+string(axe)+` })()); true`, nil)),
		p.js(`axe.run(document, {runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa"]}).then(r => JSON.stringify({passes: r.passes.length, bad: r.violations.map(v => v.id + ": " + v.nodes.slice(0,3).map(n => n.target + " " + n.failureSummary).join("; "))}))`, &found))
	var r struct {
		Passes int
		Bad    []string
	}
	if err := errors.Join(err, json.Unmarshal([]byte(found), &r)); err != nil || r.Passes < 10 || len(r.Bad) > 0 {
		p.t.Errorf("axe-core on %s at %d px, %s: %d rules pass, violations: %s (%v)", name, width, theme, r.Passes, strings.Join(r.Bad, "\n"), err)
	}
}

// TestDashboard is the day of somebody who uses the dashboard alone.
func TestDashboard(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	a := startStation(t, "laptop")
	a.write("plan.txt", "first")
	a.write(`<img src=x onerror=alert(1)>.txt`, "hostile")

	// First sight.
	p.do(chromedp.Navigate(a.cli("ui", "--no-open")))
	p.sees(".pool h3", "Sync")
	p.sees(".headline", "Everything is in sync")
	p.sees(".changes", "<img src=x onerror=alert(1)>.txt")
	p.looks("first", 1280, "light")

	// An invitation, and a join seen arriving.
	p.press(".pool a.button", "Invite a machine")
	p.sees("#panel", "writer: reads and changes files")
	p.press("#panel button", "Make a ticket")
	p.sees("#panel", "meerkat up ~/Sync --join mkt1")
	p.looks("invite", 1280, "dark")
	var ticket string
	if err := p.js("document.getElementById('ticket').textContent.split(' ').pop()", &ticket); err != nil {
		t.Fatal(err)
	}
	p.close()
	b := startStation(t, "pi", "--join", ticket)
	p.sees(".members", "pi")
	p.sees(".members", "direct tcp")
	within(t, 30*time.Second, "the plan arrives", func() error { return b.reads("plan.txt", "first") })

	// A transfer's bar, moving.
	a.cli("config", "set", "bandwidth.down", "600kB")
	b.write("film.bin", string(lab.Noise(7, 3<<20)))
	var seen []float64
	within(t, 40*time.Second, "a bar moves", func() error {
		var v float64
		if err := p.js("document.querySelector('.pool .bar.big progress')?.position ?? -1", &v); err != nil {
			return err
		}
		if v >= 0 && (len(seen) == 0 || v > seen[len(seen)-1]) {
			seen = append(seen, v)
		}
		if len(seen) < 3 {
			return fmt.Errorf("seen %v", seen)
		}
		return nil
	})
	p.looks("transfer", 1280, "light")
	a.cli("config", "unset", "bandwidth.down")
	p.sees(".headline", "Everything is in sync")

	// A conflict, settled.
	b.cli("pause")
	a.write("plan.txt", "of the laptop")
	b.put("plan.txt", "of the pi")
	b.cli("resume")
	p.sees(".need", "changed it at the same time")
	p.looks("conflict", 360, "light")
	p.press(".need button", "Keep pi’s")
	p.sees("#panel", "Settled")
	p.close()
	for _, s := range []*station{a, b} {
		within(t, 30*time.Second, "the conflict is settled", func() error { return s.reads("plan.txt", "of the pi") })
	}
	p.sees(".headline", "Everything is in sync")

	// A version, restored.
	p.press(".changes a", "plan.txt")
	p.sees("#panel", "Versions")
	p.looks("versions", 360, "dark")
	if err := p.js("Array.from(document.querySelectorAll('#panel .versions form')).pop().querySelector('button').click()", nil); err != nil {
		t.Fatal(err)
	}
	p.sees("#panel", "is back for all members")
	p.close()
	within(t, 30*time.Second, "the laptop's version is back", func() error { return b.reads("plan.txt", "of the laptop") })

	// Why, by the keyboard.
	p.do(chromedp.Focus("#find-path"), chromedp.SendKeys("#find-path", "plan.txt\r"))
	p.sees("#panel .members", "has it")
	p.looks("why", 1280, "light")
}
