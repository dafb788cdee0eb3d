package ui

import (
	"embed"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard stands before every door. It answers only those who call the dashboard
// by a name that cannot be somebody else's (a page elsewhere may point a name
// of its own at this address), refuses what pages of others send, and says to
// browsers that nothing from elsewhere belongs here.
type guard struct {
	local bool // it listens on loopback alone
	hosts func() []string
}

// policy is for a page whose every part comes from this server, without any
// script or style in the text itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (g guard) of(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-store")
		switch {
		case !g.knows(r.Host):
			http.Error(w, "The dashboard does not go by the name in this request.\n"+
				"Open it by its address, or add the name to ui.hosts.", http.StatusMisdirectedRequest)
		case fromElsewhere(r):
			http.Error(w, "The dashboard answers its own pages only.", http.StatusForbidden)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r)
		}
	})
}

// knows reports whether host cannot be a name that somebody else points here: an address, this machine's
// own name for itself, or one that the owner listed.
func (g guard) knows(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		return !g.local || ip.Unmap().IsLoopback()
	}
	return name == "localhost" || slices.ContainsFunc(g.hosts(), func(h string) bool { return strings.EqualFold(h, name) })
}

// fromElsewhere reports a request that a page of another origin made: all but
// following a link.
func fromElsewhere(r *http.Request) bool {
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		if err != nil || u.Host != r.Host {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

//go:embed static
var files embed.FS

// static serves style and script, which are the same for everybody.
func static() http.Handler {
	s := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		s.ServeHTTP(w, r)
	})
}
