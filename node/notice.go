package node

import (
	"encoding/json"
	"slices"
	"time"
)

const (
	noticesKey  = "notices"
	noticesMost = 16
	noticesAge  = 7 * 24 * time.Hour
	noticeAgain = time.Hour // the same notice is not told twice within
)

// ownerNotice is something that an owner should know once.
type ownerNotice struct {
	Code string    `json:"code"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

// notice tells the owner in the status, for some days and over restarts, and
// in the events. It reports whether that was news.
func (r *replica) notice(code, text string) (fresh bool) {
	now := time.Now().UTC()
	r.mu.Lock()
	all := slices.DeleteFunc(r.loadNotices(), func(n ownerNotice) bool { return now.Sub(n.Time) > noticesAge })
	i := slices.IndexFunc(all, func(n ownerNotice) bool { return n.Code == code && n.Text == text })
	fresh = i < 0 || now.Sub(all[i].Time) > noticeAgain
	if i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	all = append(all, ownerNotice{Code: code, Text: text, Time: now})
	r.told = all[max(0, len(all)-noticesMost):]
	raw, err := json.Marshal(r.told)
	r.mu.Unlock()
	if !fresh {
		return false
	}
	if err == nil {
		err = r.st.Set(noticesKey, raw)
	}
	r.log.Warn("notice", "pool", r.name(), "code", code, "text", text, "kept", err == nil)
	r.emit("notice."+code, "", r.self, text)
	return true
}

// loadNotices gives what the owner was told lately. mu is held.
func (r *replica) loadNotices() []ownerNotice {
	if r.told != nil {
		return slices.Clone(r.told)
	}
	raw, ok, err := r.st.Get(noticesKey)
	if err == nil && ok {
		err = json.Unmarshal(raw, &r.told)
	}
	if err != nil {
		r.log.Warn("notices", "err", err)
	}
	if r.told == nil {
		r.told = []ownerNotice{}
	}
	return slices.Clone(r.told)
}

// ownerNotices are the texts that the status shows, the newest last.
func (r *replica) ownerNotices() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, n := range r.loadNotices() {
		if time.Since(n.Time) <= noticesAge {
			out = append(out, n.Time.Local().Format("2006-01-02 15:04")+": "+n.Text)
		}
	}
	return out
}
