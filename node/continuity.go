package node

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/bwaklog/meerkat/store"
)

// continuityKey is where a pool's state keeps how to know itself again.
const continuityKey = "continuity"

// continuity is what ties a pool's state to one run after the other: a state
// that was copied, or put back from a backup, does not fit its surroundings.
type continuity struct {
	Birth    string `json:"birth"` // of the state directory
	Nonce    string `json:"nonce"` // in the folder's marker
	Boot     string `json:"boot"`  // of the operating system
	Clean    bool   `json:"clean"` // the last run ended in order
	Renewing bool   `json:"renewing,omitempty"`
	Device   uint64 `json:"device,omitempty"` // that the folder lay on when it was last scanned whole
	Cut      bool   `json:"cut,omitempty"`    // what was written last may not have reached the disk, and not all was looked at since
}

// evidence says how far the state can be trusted to hold all that this node
// ever signed in its epoch.
type evidence uint8

const (
	sound    evidence = iota // the run before ended here
	doubtful                 // probably, but the machine went down without a word
	broken                   // the state, or the folder, is a copy or an older one
	unborn                   // nothing was signed with this state yet
)

// judge compares what the state remembers with what is found.
func (c continuity) judge(now continuity) evidence {
	switch {
	case c.Birth != now.Birth:
		return broken
	case c.Nonce != now.Nonce && !c.Renewing:
		return broken
	case c.Nonce != now.Nonce, !c.Clean && (now.Boot == "" || c.Boot != now.Boot):
		return doubtful
	}
	return sound
}

// cutFrom reports whether the power may have failed since.
func (c continuity) cutFrom(now continuity) bool {
	return c.Cut || c.Boot != now.Boot || now.Boot == "" && !c.Clean
}

// continuity finds out whether this state is the one that the run before
// left, and gives what is found now, to renew the marks by which the next run
// will know.
func (r *replica) continuity() (found evidence, now continuity, err error) {
	now = continuity{Birth: birthOf(r.stateDir), Nonce: nonceText(r.fold.Marker().Nonce), Boot: bootOf(), Device: r.fold.Device()}
	before, ok, err := readContinuity(r.st)
	if err != nil {
		return broken, now, err
	}
	found = unborn
	if ok {
		found, now.Cut = before.judge(now), before.cutFrom(now)
		if r.outrun() {
			found = broken
		}
		r.fold.Moved(before.Device)
	}
	if before.Device != 0 {
		now.Device = before.Device // until the index has followed: scannedOn
	}
	return found, now, nil
}

// renew writes a fresh nonce into marker and state. A crash between the two
// writes leaves Renewing behind, so that it is not taken for a restored backup.
func (r *replica) renew(now continuity) error {
	now.Renewing = true
	if err := keepContinuity(r.st, now); err != nil {
		return err
	}
	nonce, err := r.fold.Renew()
	if err != nil {
		r.log.Warn("the marker keeps its old nonce", "pool", r.name(), "err", err) // a folder that is read-only now
	} else {
		now.Nonce = nonceText(nonce)
	}
	now.Renewing = false
	return keepContinuity(r.st, now)
}

// scannedOn notes on which device the folder lies, once the index says so too, and that everything was looked at.
func (r *replica) scannedOn() error {
	r.healed()
	c, ok, err := readContinuity(r.st)
	if err != nil || !ok || c.Device == r.fold.Device() && !c.Cut {
		return err
	}
	c.Device, c.Cut = r.fold.Device(), false
	return keepContinuity(r.st, c)
}

// yanked notes that the folder's disk went while it was in use.
func (r *replica) yanked() error {
	c, ok, err := readContinuity(r.st)
	if err != nil || !ok || c.Cut {
		return err
	}
	c.Cut = true
	return keepContinuity(r.st, c)
}

// ended notes that this run ends in order: all that it signed is in the state.
func (r *replica) ended() {
	c, ok, err := readContinuity(r.st)
	if err == nil && ok {
		c.Clean = true
		err = keepContinuity(r.st, c)
	}
	if err != nil {
		r.log.Warn("close pool", "pool", r.name(), "err", err)
	}
}

func readContinuity(st *store.Pool) (c continuity, ok bool, err error) {
	raw, ok, err := st.Get(continuityKey)
	if err != nil || !ok {
		return c, false, err
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return continuity{}, true, nil //nolint:nilerr // fits nothing: the state is not trusted
	}
	return c, true, nil
}

func keepContinuity(st *store.Pool, c continuity) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode continuity: %w", err)
	}
	return st.Set(continuityKey, raw)
}

func nonceText(n [16]byte) string { return hex.EncodeToString(n[:]) }
