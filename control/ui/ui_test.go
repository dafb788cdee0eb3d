package ui_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/control/ui"
	"github.com/bwaklog/meerkat/node"
)

// site is a dashboard on loopback with a browser that may be logged in.
type site struct {
	t    *testing.T
	base string
	dash *ui.Server
	b    *fake
	http *http.Client
}

func open(t *testing.T, password string, hosts ...string) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, base: "http://" + l.Addr().String(), b: &fake{}}
	s.dash, err = ui.New(ui.Config{Backend: s.b, Listener: l, Access: func() (string, []string) { return password, hosts }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.dash.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	jar, _ := cookiejar.New(nil)
	s.http = &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// logIn follows a link as the command line gives it.
func (s *site) logIn() *site {
	s.t.Helper()
	d, err := s.dash.Link()
	if err != nil {
		s.t.Fatal(err)
	}
	if got := s.do("GET", strings.TrimPrefix(d.URL, s.base), ""); got.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("the link answers %s", got.Status)
	}
	return s
}

type reply struct {
	*http.Response
	text string
}

// do asks for a path, with a form where there is one, and with headers "Name: value".
func (s *site) do(method, path, form string, headers ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{resp, string(b)}
}

// TestPageEscapes shows a world of hostile names: none may become markup, and
// none may turn the text around.
func TestPageEscapes(t *testing.T) {
	s := open(t, "").logIn()
	p64 := base64.RawURLEncoding.EncodeToString([]byte(hostile))
	for _, path := range []string{"/", "/why?pool=p1&p64=" + p64, "/versions?pool=p1&p64=" + p64, "/ignored?pool=p1&p64=" + p64, "/invite?pool=p1", "/setting?key=name"} {
		got := s.do("GET", path, "")
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %.200s", path, got.Status, got.text)
		}
		for _, bad := range []string{"<script>alert", "\x1b", "\u202e", "\" onload"} {
			if strings.Contains(got.text, bad) {
				t.Errorf("%s has %q in it", path, bad)
			}
		}
		if !strings.Contains(got.text, "&lt;script&gt;alert(1)") || !strings.HasSuffix(strings.TrimSpace(got.text), "</html>") {
			t.Errorf("%s is not a whole page with the name in it", path)
		}
	}
}

// TestPageTellsAll: without a script the page says all that there is to read.
func TestPageTellsAll(t *testing.T) {
	got := open(t, "").logIn().do("GET", "/", "").text
	for _, want := range []string{
		"asks to join", "Keep both", "Bring it back", "Fetching", "25 %", "2 files, 1.0 kB — why?", "direct quic, 31 ms", "no link",
		"1 file, 1.0 kB", "75 %", "Paused", "Recent changes", "12D3KooWself", "NAT", "WARN", "Change name", "Joining", "3 things need you",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if n := strings.Count(got, `class="who"`); n != 25 {
		t.Errorf("%d changes are listed, want the newest 25", n)
	}
}

// TestActs: every act of the page as its form sends it, and what must arrive behind it.
func TestActs(t *testing.T) {
	s := open(t, "").logIn()
	p64 := base64.RawURLEncoding.EncodeToString([]byte("a\xff"))
	for _, c := range []struct{ path, form, want string }{
		{"/approve", "pool=p1&member=m&role=reader", "approve p1 m reader"},
		{"/deny", "member=m", "deny m"},
		{"/resolve", "pool=p1&p64=" + p64 + "&keep64=" + p64, `resolve "p1" "a\xff" "a\xff"`},
		{"/resolve", "pool=p1&path=a&keep=both", `resolve "p1" "a" "both"`},
		{"/restore", "pool=p1&p64=" + p64 + "&version=v1", `restore "p1" "a\xff" v1`},
		{"/held", "pool=p1&id=h&accept=yes", "held p1 h true"},
		{"/held", "pool=p1&id=h&accept=no", "held p1 h false"},
		{"/pause", "pool=p1&hours=2", "pause {Pool:p1 Member: For:2h0m0s}"},
		{"/resume", "pool=p1&hours=0", "resume {Pool:p1 Member: For:0s}"},
		{"/scan", "pool=p1", `scan "p1" ""`},
		{"/invite", "pool=p1&role=reader&hours=3&uses=2", "invite {Pool:p1 Role:reader Expires:3h0m0s Uses:2}"},
		{"/setting", "key=bandwidth.up&value=2MB", `set bandwidth.up ["2MB"]`},
		{"/setting", "key=network.peers&value=", `set network.peers []`},
		{"/setting", "key=name&value=my+node", `set name ["my node"]`},
		{"/rule", "pool=p1&pattern=*.o&local=1", "rule p1 *.o true"},
	} {
		for _, script := range []bool{true, false} {
			headers := []string{"Origin: " + s.base, "Sec-Fetch-Site: same-origin"}
			if script {
				headers = append(headers, "HX-Request: true")
			}
			got := s.do("POST", c.path, c.form, headers...)
			if got.StatusCode != http.StatusOK || s.b.last() != c.want {
				t.Errorf("%s %s: %s, and %q was done, want %q", c.path, c.form, got.Status, s.b.last(), c.want)
			}
			if whole := strings.Contains(got.text, "<!doctype"); whole == script {
				t.Errorf("%s: a whole page: %v, with a script: %v", c.path, whole, script)
			}
		}
	}
}

func TestActsThatFailSayWhy(t *testing.T) {
	s := open(t, "").logIn()
	for form, path := range map[string]string{"role=writer&hours=0&uses=1": "/invite", "role=writer&hours=1&uses=x": "/invite", "p64=!": "/restore", "pool=%zz": "/scan"} {
		if got := s.do("POST", path, form); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "That did not work") {
			t.Errorf("%s %s: %s", path, form, got.Status)
		}
	}
	s.b.err = &node.Error{Code: "no_node", Message: "no member is called x", Hint: "look again", Exit: 4}
	got := s.do("POST", "/deny", "member=x", "HX-Request: true")
	if got.StatusCode != http.StatusNotFound || !strings.Contains(got.text, "no member is called x") || !strings.Contains(got.text, "look again") {
		t.Errorf("%s: %s", got.Status, got.text)
	}
	if got := s.do("POST", "/scan", "path="+strings.Repeat("x", 70<<10)); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a form of 70 kB: %s", got.Status)
	}
	s.b.err = errors.New("disk\non fire")
	if got := s.do("POST", "/scan", "pool=p1"); got.StatusCode != http.StatusInternalServerError || !strings.Contains(got.text, "disk on fire") {
		t.Errorf("%s", got.Status)
	}
}

// TestLive follows an open page: each part once, then only what changed, and
// in words what a person should notice.
func TestLive(t *testing.T) {
	s := open(t, "").logIn()
	s.b.more = make(chan node.Status)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.base+"/live", nil)
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				lines.Scan()
				return name + " " + lines.Text()
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	for _, want := range []string{"state", "needs", "pools", "changes"} {
		if got := next(); !strings.HasPrefix(got, want+" ") {
			t.Errorf("got %.40q, want %s", got, want)
		}
	}
	now := world()
	now.Pools[0].Members = append(now.Pools[0].Members, node.Member{ID: "12D3KooWfox", Name: "fox\x1b", Online: true})
	s.b.more <- now
	if got := next(); !strings.HasPrefix(got, "pools ") {
		t.Errorf("got %.40q, want only the pools again", got)
	}
	if got := next(); !strings.HasPrefix(got, "say ") || !strings.Contains(got, `fox\x1b joined`) {
		t.Errorf("got %q, want the news", got)
	}
}

func TestWeight(t *testing.T) {
	s := open(t, "").logIn()
	page := s.do("GET", "/", "").text
	total := len(page)
	for _, part := range strings.Split(page, `"/static/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		name, _, _ = strings.Cut(name, "#")
		got := s.do("GET", "/static/"+name, "")
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, got.Status)
		}
		total += len(got.text)
	}
	if total > 110<<10 || total < 60<<10 { // this page is fuller than any: 50 hostile names
		t.Errorf("the page weighs %d bytes", total)
	}
	t.Logf("page %d bytes, in all %d", len(page), total)
}

func TestPathsTyped(t *testing.T) {
	s := open(t, "").logIn()
	s.do("GET", "/why?pool=p1&path="+url.QueryEscape("a b/ü"), "")
	if want := `why "p1" "a b/ü"`; s.b.last() != want {
		t.Errorf("asked %s, want %s", s.b.last(), want)
	}
}
