package node

import "fmt"

// surveyKey is set once the folder has been scanned as a whole with this state.
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
	r.surveyed = len(v) > 0
	return err
}

// survey notes that the whole folder has been seen, and published.
func (r *replica) survey() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	if r.surveyed {
		return nil
	}
	r.surveyed = true
	if err := r.st.Set(surveyKey, []byte{1}); err != nil {
		return fmt.Errorf("survey: %w", err)
	}
	return nil
}
