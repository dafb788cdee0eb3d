package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/google/go-cmp/cmp"
)

// serve runs b on a fresh home and gives a client, and a function that stops it and waits.
func serve(t *testing.T, b control.Backend) (*control.Client, func()) {
	t.Helper()
	home := t.TempDir()
	return control.NewClient(home), serveOn(t, home, b)
}

func serveOn(t *testing.T, home string, b control.Backend) (stop func()) {
	t.Helper()
	l, err := control.Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, b, nil) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil after a stop", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func discard[T any](T) error { return nil }

// doors is every verb as a client calls it, and what must arrive behind it.
var doors = []struct {
	verb, want string
	call       func(context.Context, *control.Client) (any, error)
	answer     any
}{
	{"id", "id", func(ctx context.Context, c *control.Client) (any, error) { return c.Identity(ctx) }, node.IDInfo{Schema: node.SchemaID, ID: "12D3", Addrs: []string{"/ip4/127.0.0.1"}}},
	{"status", "status", func(ctx context.Context, c *control.Client) (any, error) { return c.Status(ctx) }, node.Status{Schema: node.SchemaStatus}},
	{"watch", "watch", func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Watch(ctx, discard) }, nil},
	{"wait", "wait p", func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Wait(ctx, "p") }, nil},
	{"scan", `scan "p" "a/b"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Scan(ctx, "p", "a/b") }, nil},
	{"scan", `scan "p" "a\xff"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Scan(ctx, "p", "a\xff") }, nil},
	{"reload", "reload", func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Reload(ctx) }, nil},
	{"init", `init "/d" "n"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Init(ctx, "/d", "n") }, node.PoolInfo{Path: "/d", Name: "n"}},
	{"invite", "invite {Pool:p Role:reader Expires:1h0m0s Uses:2}", func(ctx context.Context, c *control.Client) (any, error) {
		return c.Invite(ctx, node.InviteRequest{Pool: "p", Role: "reader", Expires: time.Hour, Uses: 2})
	}, node.TicketInfo{Ticket: "mkt1"}},
	{"join", "join {Ticket:t Node:n Dir:/d Name:me}", func(ctx context.Context, c *control.Client) (any, error) {
		return c.Join(ctx, node.JoinRequest{Ticket: "t", Node: "n", Dir: "/d", Name: "me"})
	}, node.PoolInfo{Path: "/d"}},
	{"requests", "requests", func(ctx context.Context, c *control.Client) (any, error) { return c.Requests(ctx) }, []node.RequestInfo{{ID: "a"}, {ID: "b"}}},
	{"approve", `approve "p" "m" "reader"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Approve(ctx, "p", "m", "reader") }, node.Member{ID: "m", Role: "reader"}},
	{"deny", `deny "m"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Deny(ctx, "m") }, nil},
	{"peers", `peers "p"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Peers(ctx, "p") }, []node.Member{{ID: "a"}}},
	{"peer", `peer "p" "m"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Peer(ctx, "p", "m") }, node.Member{ID: "m"}},
	{"peer-remove", `peer-remove "p" "m"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.PeerRemove(ctx, "p", "m") }, nil},
	{"peer-rename", `peer-rename "p" "m" "n"`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.PeerRename(ctx, "p", "m", "n")
	}, nil},
	{"peer-role", `peer-role "p" "m" "keeper"`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.PeerRole(ctx, "p", "m", "keeper")
	}, nil},
	{"peer-add", `peer-add "/ip4/1.2.3.4"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.PeerAdd(ctx, "/ip4/1.2.3.4") }, nil},
	{"pools", "pools", func(ctx context.Context, c *control.Client) (any, error) { return c.Pools(ctx) }, []node.PoolInfo{}},
	{"pool-leave", `pool-leave "p"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.PoolLeave(ctx, "p") }, nil},
	{"pool-merge", `pool-merge "t" "p"`, func(ctx context.Context, c *control.Client) (any, error) { return c.PoolMerge(ctx, "t", "p") }, node.PoolInfo{Name: "p"}},
	{"pool-rename", `pool-rename "p" "n"`, func(ctx context.Context, c *control.Client) (any, error) { return nil, c.PoolRename(ctx, "p", "n") }, nil},
	{"ping", `ping "m"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Ping(ctx, "m") }, node.PingInfo{ID: "m", OK: true}},
	{"netcheck", "netcheck", func(ctx context.Context, c *control.Client) (any, error) { return c.Netcheck(ctx) }, node.NetInfo{NAT: "easy"}},
	{"dashboard", "dashboard", func(ctx context.Context, c *control.Client) (any, error) { return c.Dashboard(ctx) }, control.DashboardInfo{URL: "http://x"}},
	{"logs", "logs", func(ctx context.Context, c *control.Client) (any, error) { return nil, c.Logs(ctx, discard) }, nil},
	{"log", "log {Pool:p Path:a Since:2026-11-22 10:00:00 +0000 UTC Follow:true Last:3}", func(ctx context.Context, c *control.Client) (any, error) {
		var got []string
		since := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		err := c.Log(ctx, node.LogRequest{Pool: "p", Path: "a", Since: since, Follow: true, Last: 3}, func(ch node.ChangeInfo) error {
			got = append(got, ch.Path)
			return nil
		})
		return got, err
	}, []string{"one", "two"}},
	{"events", `events "7" true`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.Events(ctx, "7", true, discard)
	}, nil},
}

func TestEveryDoorLeadsToItsCall(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	var called []string
	for _, d := range slices.Concat(doors, careDoors) {
		called = append(called, d.verb)
		got, err := d.call(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", d.verb, err)
		}
		if diff := cmp.Diff(d.answer, got); diff != "" {
			t.Errorf("%s: answer differs (-want +got):\n%s", d.verb, diff)
		}
		if last := b.calls[len(b.calls)-1]; last != d.want {
			t.Errorf("%s: the backend was asked %s, want %s", d.verb, last, d.want)
		}
	}
	all := control.Verbs()
	slices.Sort(all)
	slices.Sort(called)
	called = slices.Compact(called)
	if diff := cmp.Diff(all, called); diff != "" {
		t.Errorf("verbs without a case here (-all +called):\n%s", diff)
	}
}

func TestErrorsArriveWhole(t *testing.T) {
	want := &node.Error{Code: "ticket_expired", Message: "the ticket is not good any more", Hint: "ask for a new one", Exit: 9}
	c, _ := serve(t, &fake{err: fmt.Errorf("join home: %w", want)})
	for _, d := range doors {
		_, err := d.call(t.Context(), c)
		var got *node.Error
		if !errors.As(err, &got) {
			t.Errorf("%s: error = %v, want a *node.Error", d.verb, err)
			continue
		}
		if got.Code != want.Code || got.Hint != want.Hint || got.Exit != 9 || got.Message != "join home: "+want.Message {
			t.Errorf("%s: error = %+v, want %+v behind \"join home: \"", d.verb, got, want)
		}
	}
}

func TestFlat(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want node.Error
	}{
		{"a plain error fails", errors.New("disk\nis\x00 gone"), node.Error{Code: "failed", Message: "disk is\x00 gone", Exit: 1}},
		{"a deadline is a timeout", fmt.Errorf("wait: %w", context.DeadlineExceeded), node.Error{Code: "timeout", Message: "the time ran out", Hint: "give it longer with --timeout", Exit: 6}},
		{"a cause is shown", &node.Error{Code: "c", Message: "m", Exit: 4, Err: io.EOF}, node.Error{Code: "c", Message: "m (EOF)", Exit: 4}},
		{"an error never exits 0", &node.Error{Message: "m"}, node.Error{Code: "failed", Message: "m", Exit: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(&c.want, control.Flat(c.err)); diff != "" {
				t.Errorf("Flat (-want +got):\n%s", diff)
			}
			line := control.MarshalError(c.err)
			if diff := cmp.Diff(error(&c.want), control.AsFault(line)); diff != "" {
				t.Errorf("%s comes back different (-want +got):\n%s", line, diff)
			}
		})
	}
}

func TestDeadlineTravels(t *testing.T) {
	b := &fake{block: true, seen: make(chan error, 1)}
	c, _ := serve(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := c.Wait(ctx, "")
	if e := control.Flat(err); e.Exit != 6 || e.Code != "timeout" {
		t.Errorf("Wait = %v (%s, exit %d), want timeout and exit 6", err, e.Code, e.Exit)
	}
	if err := <-b.seen; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the backend's ctx ended with %v, want its deadline", err)
	}
}

func TestCancelReachesTheBackend(t *testing.T) {
	b := &fake{block: true, seen: make(chan error, 1)}
	c, _ := serve(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Events(ctx, "", true, func(node.EventInfo) error { cancel(); return nil }) }()
	if err := <-b.seen; !errors.Is(err, context.Canceled) {
		t.Errorf("the backend's ctx ended with %v, want canceled", err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Events = %v, want canceled", err)
	}
}

func TestCallbackErrorEndsTheStream(t *testing.T) {
	b := &fake{block: true, seen: make(chan error, 1)}
	c, _ := serve(t, b)
	enough := errors.New("enough")
	if err := c.Events(t.Context(), "", true, func(node.EventInfo) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Events = %v, want the callback's error", err)
	}
	<-b.seen
}

func TestStreamIsNotHeldBack(t *testing.T) {
	turn := make(chan struct{})
	b := &fake{watch: func(f func(node.Status) error) error {
		for range 3 {
			if err := f(node.Status{}); err != nil {
				return err
			}
			<-turn // a line that waited for its successor would stop here for ever
		}
		return nil
	}}
	c, _ := serve(t, b)
	n := 0
	err := c.Watch(t.Context(), func(node.Status) error {
		n++
		turn <- struct{}{}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("Watch gave %d lines and %v, want 3 and nil", n, err)
	}
}

func TestStopEndsOpenStreams(t *testing.T) {
	b := &fake{block: true, seen: make(chan error, 1)}
	c, stop := serve(t, b)
	heard, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- c.Events(context.WithoutCancel(t.Context()), "", true, func(node.EventInfo) error { close(heard); return nil })
	}()
	<-heard
	stop()
	<-b.seen
	if e := control.Flat(<-done); e.Code != "stopped" {
		t.Errorf("the stream ended with %+v, want code stopped", e)
	}
	if err := c.Wait(t.Context(), ""); control.Flat(err).Exit != 3 {
		t.Errorf("Wait after the stop = %v, want exit 3", err)
	}
}

func TestNodeThatDiesIsTold(t *testing.T) {
	home := t.TempDir()
	l, err := control.Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.ReadFull(c, make([]byte, 10))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
		c.Close()
	}()
	err = control.NewClient(home).Watch(t.Context(), discard)
	if e := control.Flat(err); e.Code != "connection_lost" || e.Exit != 3 {
		t.Errorf("Watch = %v (%s, exit %d), want connection_lost, exit 3", err, e.Code, e.Exit)
	}
}

func TestBadRequests(t *testing.T) {
	h := control.Handler(&fake{})
	for _, c := range []struct {
		name, method, path, body, timeout string
		status                            int
		code                              string
	}{
		{"not JSON", "POST", "/v1/scan", "{", "", 400, "bad_request"},
		{"unknown field", "POST", "/v1/scan", `{"Pth":"a"}`, "", 400, "bad_request"},
		{"two objects", "POST", "/v1/scan", `{} {}`, "", 400, "bad_request"},
		{"wrong type", "POST", "/v1/scan", `{"Pool":7}`, "", 400, "bad_request"},
		{"too big", "POST", "/v1/scan", `{"Pool":"` + strings.Repeat("x", 1<<20) + `"}`, "", 400, "bad_request"},
		{"wrong method", "DELETE", "/v1/scan", "", "", 400, "bad_request"},
		{"no such verb", "POST", "/v1/frobnicate", "{}", "", 404, "unknown_command"},
		{"no such page", "GET", "/", "", "", 404, "unknown_command"},
		{"deadline that is no number", "POST", "/v1/wait", "{}", "soon", 400, "bad_request"},
		{"deadline that overflows", "POST", "/v1/wait", "{}", "9223372036854775807", 400, "bad_request"},
		{"empty body is fine", "POST", "/v1/scan", "", "", 200, ""},
		{"GET is fine", "GET", "/v1/status", "", "", 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if c.timeout != "" {
				r.Header.Set("Meerkat-Timeout-Ms", c.timeout)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			var got struct{ Code string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("answer %q: %v", w.Body, err)
			}
			if w.Code != c.status || got.Code != c.code {
				t.Errorf("answer = %d %q, want %d %q", w.Code, got.Code, c.status, c.code)
			}
		})
	}
}

func FuzzRequest(f *testing.F) {
	all := control.Verbs()
	slices.Sort(all)
	f.Add(uint8(0), "{}", "")
	f.Add(uint8(3), `{"Pool":"a","Path":"b"}`, "100")
	f.Add(uint8(7), `{"ticket":"mkt1"} x`, "-1")
	f.Add(uint8(9), `[1,2`, "")
	h := control.Handler(&fake{})
	f.Fuzz(func(t *testing.T, n uint8, body, timeout string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/"+all[int(n)%len(all)], strings.NewReader(body))
		r.Header.Set("Meerkat-Timeout-Ms", timeout)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		d := json.NewDecoder(w.Body)
		for {
			var v any
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("answer to %q is not JSON: %v", body, err)
			}
		}
	})
}

func FuzzFault(f *testing.F) {
	f.Add([]byte(`{"schema":"meerkat.error/v1","code":"x","message":"m","hint":"h","exit":9}`))
	f.Add([]byte(`{"schema":"meerkat.status/v1"}`))
	f.Add([]byte(`{"schema":"meerkat.error/v1","exit":0,"message":"a\nb"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		err := control.AsFault(line)
		if err == nil {
			return
		}
		e := control.Flat(err)
		if e.Exit == 0 || e.Code == "" || strings.ContainsAny(e.Message+e.Hint, "\n\r") {
			t.Errorf("fault %q became %+v", line, e)
		}
		if diff := cmp.Diff(e, control.Flat(control.AsFault(control.MarshalError(err)))); diff != "" {
			t.Errorf("not stable (-want +got):\n%s", diff)
		}
	})
}
