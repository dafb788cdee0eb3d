package folder

import "github.com/bwaklog/meerkat/event"

// Lstat gives the present state of what lies at p, without following links; false when nothing does.
func (f *Folder) Lstat(p event.Path) (Stat, bool, error) {
	st, err := f.fs.Stat("look", string(p))
	if Absent(err) {
		return Stat{}, false, nil
	}
	return st, err == nil, err
}
