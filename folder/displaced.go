package folder

import (
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// displaced is something that came out of a path and could not be brought to the versions.
type displaced struct {
	name string
	of   event.Path // "" where it is not known whose it was
	root chunker.ID // zero where it is not known what it holds
}

// park puts something that must not be lost where nothing is staged, under a name that says what it holds. It is brought to
// the versions by Rescue, or by CleanTmp of the next run. An error means that it is where it was.
func (f *Folder) park(temp string, of event.Path, root chunker.ID) error {
	d := displaced{temp, of, root}
	base := tmpDir + "/" + keepPrefix + strings.TrimPrefix(temp, tmpDir+"/"+tempPrefix)
	if !root.IsZero() {
		base = tmpDir + "/" + keepPrefix + hex.EncodeToString(root[:])
	}
	err := error(nil)
	for i := range 1000 {
		to := fmt.Sprintf("%s-%d", base, i)
		if err = f.fs.Rename("park", temp, to, NoReplace); !isExist(err) {
			if err == nil {
				d.name = to
			}
			break
		}
	}
	f.strand(temp, d)
	if err != nil {
		f.log.Error("a displaced file waits in tmp", "temp", temp, "err", err)
	}
	return err
}

// strand remembers d, which lay at temp. What was known of that stays known: its name may be another's soon.
func (f *Folder) strand(temp string, d displaced) {
	f.strandedMu.Lock()
	defer f.strandedMu.Unlock()
	if i := slices.IndexFunc(f.stranded, func(o displaced) bool { return o.name == temp }); i >= 0 {
		f.stranded[i].name = d.name
		return
	}
	f.stranded = append(f.stranded, d)
}

// Rescue brings to the versions what Apply could not bring there before, and gives those: a version without a root holds what nobody
// knows. What cannot be brought there yet stays for the next call.
func (f *Folder) Rescue(now time.Time) []Version {
	f.strandedMu.Lock()
	todo := f.stranded
	f.stranded = nil
	f.strandedMu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	f.applyMu.Lock()
	defer f.applyMu.Unlock()
	var out []Version
	for _, d := range todo {
		if d.of == "" {
			d.of = event.Path(lostDir).Join(path.Base(d.name))
		}
		v, err := f.toVersions(make(map[string]bool), d.name, d.of, now)
		switch {
		case err == nil:
			v.Root = d.root
			out = append(out, v)
		case !Absent(err):
			f.strandedMu.Lock()
			f.stranded = append(f.stranded, d)
			f.strandedMu.Unlock()
		}
	}
	return out
}

// parkedRoot is the content that the name of something parked tells; zero where it tells none.
func parkedRoot(name string) (root chunker.ID) {
	hash, _, _ := strings.Cut(strings.TrimPrefix(name, keepPrefix), "-")
	root, _ = parseRoot(hash)
	return root
}
