package e2e

import (
	"testing"
	"time"
)

// O-BY-5: a million files of a pebibyte cost what a quota allows, and nobody
// else notices.
func TestO_BY_5_Bomb(t *testing.T) {
	s := besiege(t)
	s.attack("bomb", twice, s.talk)
	s.accused(s.a, s.b)
	for _, h := range s.honest() {
		if st := h.Status().Pools[0]; len(st.Problems) > 200 {
			t.Errorf("%s lists %d problems", h.Name, len(st.Problems))
		}
	}
	s.expel()
	s.contained()
}

// A member that says more than anybody can hear is heard no more, and once it
// is removed all is as if it had never been there.
func TestFlood(t *testing.T) {
	s := besiege(t)
	s.attack("flood", twice, s.talk)
	s.accused(s.a, s.b)
	s.contained()
	s.expel()
}

// One that breaks no rule, but makes each of its events cost as much as it can,
// is put off.
func TestSiblings(t *testing.T) {
	s := besiege(t)
	s.attack("siblings", twice, s.talk)
	s.accused(s.a, s.b)
	s.expel()
}

// expel removes the adversary; from then on all must be as if it had never
// been there.
func (s *siege) expel() {
	s.t.Helper()
	s.a.Cli("peer", "rm", "e", "--yes")
	s.EqualWithin(60*time.Second, s.a, s.b)
}
