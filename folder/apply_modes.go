package folder

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// openedPrefix begins the names of links in the tmp directory that remember the mode of a directory which is writable
// only while a batch is applied. A link is one atomic call, and its target has room for a path.
const openedPrefix = "opened-"

// restoreModes puts right what a crash in the middle of a batch left open.
func (f *Folder) restoreModes() error {
	names, err := f.fs.List("restore modes", tmpDir)
	if err != nil {
		return guard(WhyNotWritable, f.path, err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, openedPrefix) {
			f.restoreMode(tmpDir + "/" + n)
		}
	}
	return nil
}

// restoreMode closes one directory again and forgets the note about it.
func (f *Folder) restoreMode(note string) {
	dir, mode, err := f.readNote(note)
	if err == nil {
		err = f.chmodDir(dir, mode)
	}
	if err != nil && !Absent(err) {
		f.log.Warn("a directory stays writable", "note", note, "dir", dir, "err", err)
	}
	_ = f.fs.Remove("restore mode", note, false) // tried again at the next start
}

// chmodDir changes a mode, of directories only.
func (f *Folder) chmodDir(dir string, mode uint32) error {
	st, err := f.fs.Stat("mode", dir)
	if err != nil || st.Mode&modeType != modeDir || st.Mode&0o7777 == mode {
		return err
	}
	return f.fs.Attr("mode", dir, Attr{SetMode: true, Mode: mode})
}

func (f *Folder) readNote(note string) (dir string, mode uint32, err error) {
	s, err := f.fs.ReadLink("restore mode", note)
	if err != nil {
		return "", 0, err
	}
	octal, dir, _ := strings.Cut(s, " ")
	m, err := strconv.ParseUint(octal, 8, 12)
	if err != nil {
		return dir, 0, errors.New("not a note about a mode")
	}
	return dir, uint32(m), nil
}

// opened is a directory that is writable for one batch.
type opened struct {
	note string
	mode uint32 // as it was, and will be
}

// writable runs change, which needs to write into dir. Where dir's mode forbids that to its owner, it is made writable for
// the rest of the batch.
func (b *batch) writable(dir string, change func() error) error {
	err := change()
	if !denied(err) || !b.unlock(dir) {
		return err
	}
	return change()
}

// unlock makes dir writable to its owner, and reports whether that changed anything.
func (b *batch) unlock(dir string) bool {
	if _, done := b.opened[dir]; done {
		return false
	}
	st, err := b.f.fs.Stat("unlock", dir)
	if err != nil || st.Mode&modeType != modeDir || st.Mode&0o300 == 0o300 {
		return false
	}
	note := fmt.Sprintf("%s/%s%d", tmpDir, openedPrefix, len(b.opened))
	if b.f.fs.Link("unlock", fmt.Sprintf("%o %s", st.Mode&0o7777, dir), note, Soft) != nil {
		return false
	}
	if b.f.fs.Attr("unlock", dir, Attr{SetMode: true, Mode: st.Mode&0o7777 | 0o300}) != nil {
		_ = b.f.fs.Remove("unlock", note, false) // says what is true anyway
		return false
	}
	b.opened[dir] = opened{note, st.Mode}
	return true
}

// lock gives the directories that unlock opened their modes back.
func (b *batch) lock() {
	for _, o := range b.opened {
		b.f.restoreMode(o.note)
	}
	clear(b.opened)
}
