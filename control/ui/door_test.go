package ui_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bwaklog/meerkat/control/ui"
)

// TestStrangers: who is not logged in sees how to, and nothing of the node.
func TestStrangers(t *testing.T) {
	s := open(t, "")
	for _, path := range []string{"/", "/why", "/versions", "/invite", "/setting?key=name"} {
		if got := s.do("GET", path, ""); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/login" {
			t.Errorf("GET %s: %s", path, got.Status)
		}
	}
	for _, path := range []string{"/invite", "/approve", "/resolve", "/restore", "/setting", "/held", "/pause"} {
		if got := s.do("POST", path, "pool=p1"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s: %s", path, got.Status)
		}
	}
	if got := s.do("GET", "/live", ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("GET /live: %s", got.Status)
	}
	if got := s.do("GET", "/why", "", "HX-Request: true"); got.StatusCode != http.StatusUnauthorized || got.Header.Get("HX-Redirect") != "/login" {
		t.Errorf("a script: %s", got.Status)
	}
	got := s.do("GET", "/login", "")
	if got.StatusCode != http.StatusOK || !strings.Contains(got.text, "meerkat ui") || strings.Contains(got.text, "12D3") || strings.Contains(got.text, `type="password"`) {
		t.Errorf("the gate: %s %s", got.Status, got.text)
	}
	if s.b.last() != "" {
		t.Errorf("a stranger had the node do %q", s.b.last())
	}
}

func TestLinkWorksOnce(t *testing.T) {
	s := open(t, "")
	d, err := s.dash.Link()
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(d.URL, s.base)
	got := s.do("GET", path, "")
	c := got.Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(c, want) {
			t.Errorf("the cookie %q is not %s", c, want)
		}
	}
	if got := s.do("GET", "/", ""); got.StatusCode != http.StatusOK {
		t.Errorf("logged in: %s", got.Status)
	}
	if other := open(t, ""); other.do("GET", path, "").StatusCode != http.StatusForbidden {
		t.Error("another node took the link")
	}
	s.http.Jar = nil
	if got := s.do("GET", path, ""); got.StatusCode != http.StatusForbidden {
		t.Errorf("the second time the link answers %s", got.Status)
	}
}

func TestLogOut(t *testing.T) {
	s := open(t, "").logIn()
	jar := s.http.Jar
	var kept string
	for _, c := range jar.Cookies(mustURL(s.base)) {
		kept = c.Name + "=" + c.Value
	}
	if got := s.do("POST", "/logout", ""); got.StatusCode != http.StatusSeeOther {
		t.Errorf("logout: %s", got.Status)
	}
	s.http.Jar = nil
	if got := s.do("GET", "/", "", "Cookie: "+kept); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the old cookie still opens: %s", got.Status)
	}
}

func TestPassword(t *testing.T) {
	hash := ui.HashPassword("correct horse")
	if ui.HashPassword("correct horse") == hash {
		t.Error("two hashes of one password are equal: there is no salt")
	}
	for _, bad := range []string{"", "correct horse", hash[:len(hash)-2], strings.Replace(hash, "19456", "99999999", 1)} {
		if ui.CheckPassword(bad, "correct horse") {
			t.Errorf("the hash %q lets in", bad)
		}
	}
	s := open(t, hash)
	if got := s.do("POST", "/login", "password=wrong"); got.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong password: %s", got.Status)
	}
	if got := s.do("POST", "/login", "password=correct+horse"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the password: %s", got.Status)
	}
	if got := s.do("GET", "/", ""); got.StatusCode != http.StatusOK {
		t.Errorf("logged in by password: %s", got.Status)
	}
	last := 0
	for range 8 {
		last = s.do("POST", "/login", "password=wrong").StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the tenth try in a row: %d", last)
	}
	if got := open(t, "").do("POST", "/login", "password="); got.StatusCode != http.StatusForbidden {
		t.Errorf("without a password set: %s", got.Status)
	}
}

// TestForeign: what pages of others can have a browser send is refused, logged
// in or not.
func TestForeign(t *testing.T) {
	s := open(t, "", "nas.lan").logIn()
	for _, c := range []struct {
		what, method, path string
		headers            []string
		want               int
	}{
		{"a name of somebody else", "GET", "/", []string{"Host: evil.example"}, http.StatusMisdirectedRequest},
		{"the same with our port", "GET", "/login", []string{"Host: evil.example:7717"}, http.StatusMisdirectedRequest},
		{"an address that is not loopback", "GET", "/", []string{"Host: 192.168.1.5:7717"}, http.StatusMisdirectedRequest},
		{"localhost", "GET", "/login", []string{"Host: localhost:1"}, http.StatusOK},
		{"a name of ours", "GET", "/login", []string{"Host: NAS.lan:7717"}, http.StatusOK},
		{"IPv6", "GET", "/login", []string{"Host: [::1]:7717"}, http.StatusOK},
		{"another origin posts", "POST", "/pause", []string{"Origin: http://evil.example"}, http.StatusForbidden},
		{"no origin's page posts", "POST", "/pause", []string{"Origin: null"}, http.StatusForbidden},
		{"another port of this machine posts", "POST", "/pause", []string{"Origin: http://127.0.0.1:3000", "Sec-Fetch-Site: same-site"}, http.StatusForbidden},
		{"a cross-site post without origin", "POST", "/pause", []string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
		{"another origin reads", "GET", "/", []string{"Origin: http://evil.example"}, http.StatusForbidden},
		{"another origin listens", "GET", "/live", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"}, http.StatusForbidden},
		{"another site embeds", "GET", "/static/page.js", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, http.StatusForbidden},
		{"somebody follows a link", "GET", "/login", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, http.StatusSeeOther},
	} {
		if got := s.do(c.method, c.path, "", c.headers...); got.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.what, got.Status, c.want)
		}
	}
	if s.b.last() != "" {
		t.Errorf("somebody else's page had the node do %q", s.b.last())
	}
}

func TestHeaders(t *testing.T) {
	s := open(t, "").logIn()
	for _, path := range []string{"/", "/login", "/static/style.css", "/nothing"} {
		h := s.do("GET", path, "").Header
		csp := h.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if got := s.do("GET", "/static/", ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("the list of files: %s", got.Status)
	}
	page := s.do("GET", "/", "").text
	for _, bad := range []string{" style=\"", "<style", "<script>", " onclick=", "javascript:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q, which its own policy forbids", bad)
		}
	}
}

// TestSessionsEnd in fake time.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := ui.NewDoor()
		code, _ := d.Code(time.Now())
		time.Sleep(5*time.Minute + time.Second)
		if d.Redeem(code, time.Now()) {
			t.Error("a code older than five minutes opens")
		}
		idle, busy := d.Open(time.Now()), d.Open(time.Now())
		for range 13 {
			time.Sleep(time.Hour)
			if !d.Knows(busy, time.Now()) {
				t.Fatal("a session that is used ended within a day")
			}
		}
		if d.Knows(idle, time.Now()) {
			t.Error("a session unused for 13 hours goes on")
		}
		for range 24 * 7 {
			time.Sleep(time.Hour)
			d.Knows(busy, time.Now())
		}
		if d.Knows(busy, time.Now()) {
			t.Error("a session goes on after a week")
		}
		first := d.Open(time.Now())
		for range 64 {
			time.Sleep(time.Second)
			d.Open(time.Now())
		}
		if d.Knows(first, time.Now()) {
			t.Error("sessions pile up without limit")
		}
	})
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
