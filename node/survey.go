package node

import (
	"encoding/binary"
	"fmt"
)

// surveyKey is set once the folder has been scanned as a whole with this state: to one more than the voids that there had
// been when that scan began.
const surveyKey = "surveyed"

// loadSurvey finds out whether what a scan finds is new. It may be old where
// the state is new, or older than the folder: somebody may have had it from
// here before, and have deleted it since.
func (r *replica) loadSurvey(found evidence) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	if found == broken {
		if err := r.st.Set(surveyKey, nil); err != nil {
			return fmt.Errorf("survey: %w", err)
		}
	}
	v, _, err := r.st.Get(surveyKey)
	r.surveyed, _ = binary.Uvarint(v)
	return err
}

// knowsFolder reports whether what a scan finds without a row is new. It is not while the whole folder has not been seen, nor
// after a removal took rows away: what those files hold may have been deleted elsewhere. The caller holds the disk.
func (r *replica) knowsFolder() bool { return r.surveyed == r.st.Voids()+1 }

// survey notes that the whole folder has been seen, and published, by a scan that began when there had been so many voids.
func (r *replica) survey(voids uint64) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	if r.knowsFolder() || r.st.Voids() != voids {
		return nil
	}
	r.surveyed = voids + 1
	if err := r.st.Set(surveyKey, binary.AppendUvarint(nil, r.surveyed)); err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	return nil
}
