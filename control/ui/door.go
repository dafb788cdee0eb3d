package ui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	codeLife    = 5 * time.Minute
	maxCodes    = 16
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
	maxSessions = 64
	cookieName  = "meerkat_session_"
)

// door remembers who may come in: codes that open it once, and sessions. It
// keeps the hashes of both, and only in memory.
type door struct {
	name  string        // of the cookie, with the port: browsers share cookies among all ports of a host
	tries *rate.Limiter // of passwords

	mu       sync.Mutex
	codes    map[[32]byte]time.Time // good until
	sessions map[[32]byte]session
	streams  int // pages that are kept fresh
}

type session struct{ begun, seen time.Time }

func (s session) over(now time.Time) bool {
	return now.Sub(s.seen) > sessionIdle || now.Sub(s.begun) > sessionLife
}

func newDoor() *door {
	return &door{
		name: cookieName, tries: rate.NewLimiter(rate.Every(3*time.Second), 5),
		codes: map[[32]byte]time.Time{}, sessions: map[[32]byte]session{},
	}
}

func digest(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// code makes a secret that opens the door once, and says until when.
func (d *door) code(now time.Time) (string, time.Time) {
	secret, until := rand.Text(), now.Add(codeLife)
	d.mu.Lock()
	defer d.mu.Unlock()
	dropOldest(d.codes, maxCodes, func(t time.Time) time.Time { return t })
	d.codes[digest(secret)] = until
	return secret, until
}

// redeem uses a code up.
func (d *door) redeem(code string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.codes[digest(code)]
	delete(d.codes, digest(code))
	return ok && now.Before(until)
}

// open begins a session, and gives the secret that stands for it.
func (d *door) open(now time.Time) string {
	secret := rand.Text()
	d.mu.Lock()
	defer d.mu.Unlock()
	dropOldest(d.sessions, maxSessions, func(s session) time.Time { return s.seen })
	d.sessions[digest(secret)] = session{now, now}
	return secret
}

// knows reports whether secret stands for a session that is not over.
func (d *door) knows(secret string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := digest(secret)
	s, ok := d.sessions[id]
	if !ok || s.over(now) {
		delete(d.sessions, id)
		return false
	}
	d.sessions[id] = session{s.begun, now}
	return true
}

// stream counts the pages that are kept fresh, and reports whether there is
// room for n more.
func (d *door) stream(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams+n > maxStreams {
		return false
	}
	d.streams += n
	return true
}

// shut ends a session.
func (d *door) shut(secret string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, digest(secret))
}

// dropOldest makes room for one more among most.
func dropOldest[V any](m map[[32]byte]V, most int, when func(V) time.Time) {
	for len(m) >= most {
		var oldest [32]byte
		first := true
		for id, v := range m {
			if first || when(v).Before(when(m[oldest])) {
				oldest, first = id, false
			}
		}
		delete(m, oldest)
	}
}

// members lets in only those who are logged in.
func (s *Server) members(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.loggedIn(r):
			next.ServeHTTP(w, r)
		case r.Header.Get("HX-Request") != "":
			w.Header().Set("HX-Redirect", "/login")
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet && r.URL.Path != "/live":
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			http.Error(w, "Log in first: run \"meerkat ui\" on the node's machine.", http.StatusUnauthorized)
		}
	})
}

func (s *Server) loggedIn(r *http.Request) bool {
	c, err := r.Cookie(s.door.name)
	return err == nil && s.door.knows(c.Value, time.Now())
}

// login lets in whoever brings a code, and shows everybody else how to.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	switch {
	case code != "" && s.door.redeem(code, time.Now()):
		s.welcome(w, r)
	case code != "":
		s.gate(w, http.StatusForbidden, "This link was used already, or is older than five minutes.")
	case s.loggedIn(r):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	default:
		s.gate(w, http.StatusOK, "")
	}
}

// loginByPassword lets in whoever knows the password, where there is one.
func (s *Server) loginByPassword(w http.ResponseWriter, r *http.Request) {
	hash, _ := s.conf.Access()
	switch {
	case hash == "":
		s.gate(w, http.StatusForbidden, "No password is set on this node.")
	case !s.door.tries.Allow():
		w.Header().Set("Retry-After", "10")
		s.gate(w, http.StatusTooManyRequests, "Too many tries: wait ten seconds.")
	case !CheckPassword(hash, r.PostFormValue("password")):
		s.conf.Log.Warn("dashboard: a wrong password", "from", r.RemoteAddr)
		s.gate(w, http.StatusForbidden, "That is not the password.")
	default:
		s.welcome(w, r)
	}
}

func (s *Server) welcome(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: s.door.name, Value: s.door.open(time.Now()), Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.Header.Get("X-Forwarded-Proto") == "https",
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(s.door.name); err == nil {
		s.door.shut(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: s.door.name, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// gate is the page before the door. It tells a stranger nothing about the node.
func (s *Server) gate(w http.ResponseWriter, status int, trouble string) {
	hash, _ := s.conf.Access()
	s.show(context.Background(), w, status, "login", struct {
		Trouble  string
		Password bool
	}{trouble, hash != ""})
}
