package pubsub

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

func TestAgendaNeverRunsTwoExchangesWithOnePeerAndAnswersAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAgenda(time.Second)
		now := time.Unix(1000, 0)
		running := map[peer.ID]bool{}
		type waiter struct {
			c <-chan error
			p peer.ID
		}
		var waiters []waiter
		peers := rapid.SampledFrom([]peer.ID{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"ask":    func(t *rapid.T) { a.ask(peers.Draw(t, "p"), now) },
			"touch":  func(t *rapid.T) { a.touch(peers.Draw(t, "p"), now.Add(time.Second)) },
			"wait":   func(t *rapid.T) { p := peers.Draw(t, "p"); waiters = append(waiters, waiter{a.wait(p, now), p}) },
			"met":    func(t *rapid.T) { a.met(peers.Draw(t, "p")) },
			"forget": func(t *rapid.T) { a.forget(peers.Draw(t, "p")) },
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "ms")) * time.Millisecond)
			},
			"take": func(t *rapid.T) {
				for _, p := range a.take(now, rapid.IntRange(0, 3).Draw(t, "max")) {
					if running[p] {
						t.Fatalf("%s taken twice", p)
					}
					running[p] = true
				}
			},
			"done": func(t *rapid.T) {
				p := peers.Draw(t, "p")
				if !running[p] {
					t.Skip("not running")
				}
				delete(running, p)
				a.done(p, rapid.SampledFrom([]error{nil, ErrProtocol, errBusy}).Draw(t, "err"), now, rapid.Bool().Draw(t, "again"))
			},
		})
		for range 20 { // whatever was asked for by somebody who waits comes to its end
			now = now.Add(2 * time.Minute)
			for p := range running {
				a.done(p, nil, now, true)
			}
			clear(running)
			for _, p := range a.take(now, 10) {
				running[p] = true
			}
		}
		for _, w := range waiters {
			select {
			case <-w.c:
			default:
				t.Fatalf("a waiter for %s was never answered", w.p)
			}
		}
		if at, ok := a.next(); ok || len(a.rows) > 0 {
			t.Fatalf("agenda holds %d rows, next at %v, want none", len(a.rows), at)
		}
	})
}

func TestAgendaForgetsAPeerThatIsNotTriedAgain(t *testing.T) {
	a := newAgenda(time.Second)
	now := time.Unix(1000, 0)
	a.ask("p", now)
	for _, again := range []bool{true, false} {
		a.take(now, 1)
		a.done("p", ErrProtocol, now, again)
		now = now.Add(time.Minute)
	}
	if len(a.rows) != 0 {
		t.Error("a row stays for a peer with which nothing is planned")
	}
}

func TestAgendaWaitsLongerAfterEachFailure(t *testing.T) {
	a := newAgenda(time.Second)
	now := time.Unix(1000, 0)
	a.ask("p", now)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := a.take(now, 1); len(got) != 1 {
			t.Fatalf("nothing due at %v", now)
		}
		a.done("p", ErrProtocol, now, true)
		at, ok := a.next()
		if !ok || at.Sub(now) != want*time.Second {
			t.Fatalf("next try after %v, want %d s", at.Sub(now), want)
		}
		now = at
	}
	a.met("p")
	if _, ok := a.next(); ok {
		t.Error("a try is due although p came by itself")
	}
}
