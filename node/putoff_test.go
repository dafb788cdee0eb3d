package node

import (
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// While a member is one, what it says beyond its measure is put off. Once it is
// removed its log has an end, which all have to come to: nothing of it is muted,
// and none of it is put off, whichever way it comes.
func TestNothingOfARemovedMemberIsPutOff(t *testing.T) {
	r, _ := openLogs(t)
	key, self := testKey(t, 1)
	r.self = self
	_, rogue := testKey(t, 2)
	n := &Node{replicas: map[event.PoolID]*running{r.id: {replica: r}}}
	grow := func(rec pool.Record, err error) {
		t.Helper()
		if err == nil {
			_, err = r.st.AddRecords([]pool.Record{rec})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	grow(r.st.Roster().Admit(key, rogue, "rogue", pool.Writer, 1_700_000_000_001<<16))
	r.quota.bear(rogue, 100*burdenMost)
	if !r.putsOff(rogue) || !n.muted(r.id, rogue) {
		t.Fatal("a member that has used up its measure is not put off: this test shows nothing")
	}
	grow(r.st.Roster().Remove(key, rogue, event.Vector{}, 1_700_000_000_002<<16))
	if r.putsOff(rogue) || n.muted(r.id, rogue) {
		t.Errorf("after its removal put off %v, muted %v", r.putsOff(rogue), n.muted(r.id, rogue))
	}
}
