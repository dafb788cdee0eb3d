package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bwaklog/meerkat/event"
)

const (
	watchMask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE | unix.IN_ATTRIB |
		unix.IN_MODIFY | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK | unix.IN_DONT_FOLLOW
	rootMask = watchMask | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// watchDir is a watched directory. Names are kept as a tree, so that a moved directory moves in one step.
type watchDir struct {
	wd     int
	name   string
	parent *watchDir // nil: the root, or cut off
	kids   map[string]*watchDir
}

// session is one inotify instance.
type session struct {
	*Watcher
	t     rawTree
	fd    int      // of in, for adding; the reading goroutine alone closes it
	in    *os.File // non-blocking, so that the runtime's poller waits
	root  *watchDir
	rules *Ignore // that the watches follow
	wds   map[int]*watchDir
	cut   []*watchDir // taken out of the tree, perhaps to come back under another name in the same read
	lost  int         // directories without a watch
	why   string
	full  time.Time // when everything was last called dirty for being degraded
	marks marks
}

// session watches until ctx ends or the root is lost.
func (w *Watcher) session(ctx context.Context) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	s := &session{Watcher: w, t: rawTree{fs: &osFS{dir: w.f.dir, fd: int(w.f.dir.Fd())}}, fd: fd, in: os.NewFile(uintptr(fd), "inotify")}
	defer s.in.Close() // nothing is written to it
	// A deadline in the past ends the read; closing from here could hand the descriptor to somebody else meanwhile.
	defer context.AfterFunc(ctx, func() { _ = s.in.SetReadDeadline(time.Unix(1, 0)) })()
	if err := s.inPlace(); err != nil {
		return err
	}
	if err := s.rewatch(); err != nil {
		return err
	}
	s.all()
	defer s.skip()
	defer s.begin(s)()
	return s.read(ctx)
}

// inPlace says whether the folder's path still leads to the folder.
func (s *session) inPlace() error {
	var here, there unix.Stat_t
	if unix.Fstat(s.t.fs.fd, &here) != nil || unix.Stat(s.f.path, &there) != nil || here.Dev != there.Dev || here.Ino != there.Ino {
		return errRootLost
	}
	return nil
}

// rewatch puts a watch on every directory anew; those that stand stay. Watches that lead nowhere are taken away.
func (s *session) rewatch() error {
	if _, _, err := s.f.rules.reload(s.f.fs, new(int)); err != nil {
		return err // without the rules everything would be watched
	}
	old := s.wds
	s.wds, s.lost, s.why, s.cut = map[int]*watchDir{}, 0, "", nil
	s.root, s.rules = &watchDir{}, s.f.rules.now.Load()
	if err := s.watchTree(s.root, ""); err != nil {
		return err
	}
	for wd := range old {
		if s.wds[wd] == nil {
			_, _ = unix.InotifyRmWatch(s.fd, uint32(wd)) // gone already, perhaps
		}
	}
	s.full = time.Now()
	s.report()
	return nil
}

func (s *session) report() {
	st := WatchStatus{Watches: len(s.wds), Unwatched: s.lost, Degraded: s.lost > 0, Reason: s.why}
	if st != s.Status() {
		s.set(st)
	}
}

// watchTree watches d and all below it: each directory before it is read, so that what comes later is noticed. Only the
// root's failure is an error.
func (s *session) watchTree(d *watchDir, path event.Path) error {
	var subs []string
	fd, err := s.t.openAt(path, listFlags)
	if err == nil {
		err = s.add(d, fd)
		if err == nil {
			subs = s.subdirs(fd, path)
		}
		_ = unix.Close(fd) // read only
	}
	if err != nil {
		return s.unwatched(d, err)
	}
	for _, name := range subs {
		k := &watchDir{name: name, parent: d}
		if d.kids == nil {
			d.kids = map[string]*watchDir{}
		}
		d.kids[name] = k
		_ = s.watchTree(k, child(path, name)) // never of one that is not the root
	}
	return nil
}

// add watches the open directory fd as d. Where it was watched as another one, that one is history.
func (s *session) add(d *watchDir, fd int) error {
	if s.c.MaxWatches > 0 && len(s.wds) >= s.c.MaxWatches {
		return errMaxWatches
	}
	mask := uint32(watchMask)
	if d == s.root {
		mask = rootMask
	}
	wd, err := unix.InotifyAddWatch(s.fd, "/proc/self/fd/"+strconv.Itoa(fd)+"/.", mask)
	if errors.Is(err, unix.ENOENT) && !s.procMounted() {
		wd, err = unix.InotifyAddWatch(s.fd, s.f.path+"/"+string(d.path()), mask)
	}
	if err != nil {
		return err
	}
	d.wd, s.wds[wd] = wd, d
	return nil
}

func (s *session) procMounted() bool { return unix.Access("/proc/self/fd", unix.F_OK) == nil }

var errMaxWatches = errors.New("the limit of watches that is set for this folder is reached")

// unwatched notes a directory that could not be watched, if that was no race with its removal.
func (s *session) unwatched(d *watchDir, err error) error {
	if d == s.root {
		return err
	}
	delete(d.parent.kids, d.name)
	if Absent(err) || errors.Is(err, os.ErrPermission) { // a scan reports what cannot be read
		return nil
	}
	s.lost++
	s.why = whyUnwatched(err)
	return nil
}

// subdirs lists the directories in fd that are to be watched.
func (s *session) subdirs(fd int, dir event.Path) (names []string) {
	buf := dirBuffers.Get().(*[64 << 10]byte)
	defer dirBuffers.Put(buf)
	for {
		n, err := unix.Getdents(fd, buf[:])
		if err == unix.EINTR { //nolint:errorlint // raw errno
			continue
		}
		if n <= 0 || err != nil {
			return names // a scan reports what cannot be read
		}
		eachDirent(buf[:n], func(name []byte, typ byte) {
			if typ != unix.DT_DIR && (typ != unix.DT_UNKNOWN || !isDirAt(fd, name)) {
				return
			}
			if hide, _ := s.rules.one(string(child(dir, string(name))), true); !hide {
				names = append(names, string(name))
			}
		})
	}
}

func isDirAt(fd int, name []byte) bool {
	var st unix.Stat_t
	return unix.Fstatat(fd, string(name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// path is where d stands; of one that is cut off, a part.
func (d *watchDir) path() event.Path {
	if d.parent == nil {
		return event.Path(d.name)
	}
	return child(d.parent.path(), d.name)
}

// rooted says whether d is still part of the tree.
func (s *session) rooted(d *watchDir) bool {
	for d.parent != nil {
		d = d.parent
	}
	return d == s.root
}

// read takes events until ctx ends or the root is lost.
func (s *session) read(ctx context.Context) error {
	buf := make([]byte, 64<<10)
	for {
		if err := s.deadline(ctx); err != nil {
			return err
		}
		n, err := s.in.Read(buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = s.idle()
		case err == nil:
			err = s.take(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// deadline wakes the read in time for the next rescan while degraded.
func (s *session) deadline(ctx context.Context) error {
	var at time.Time
	if s.lost > 0 {
		at = s.full.Add(s.c.Rescan)
	}
	if err := s.in.SetReadDeadline(at); err != nil {
		return err
	}
	return ctx.Err() // after the deadline is set: cancelling sets it again, or was seen here
}

// idle is the rescan of a degraded watcher: there may be room for more watches now.
func (s *session) idle() error {
	if err := s.rewatch(); err != nil {
		return err
	}
	s.all()
	return nil
}

// take deals with what one read gave.
func (s *session) take(b []byte) error {
	for len(b) >= unix.SizeofInotifyEvent {
		raw := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
		end := unix.SizeofInotifyEvent + int(raw.Len)
		if err := s.event(int(raw.Wd), raw.Mask, unix.ByteSliceToString(b[unix.SizeofInotifyEvent:end])); err != nil {
			return err
		}
		b = b[end:]
	}
	s.drop()
	s.report()
	return nil
}

func (s *session) event(wd int, mask uint32, name string) error {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		err := s.idle()
		s.skip()
		return err
	}
	d := s.wds[wd]
	switch {
	case d == nil:
		s.come(wd)
		return nil // of a mark, or of a watch that was taken away
	case mask&unix.IN_IGNORED != 0:
		return s.ended(wd, d)
	case mask&unix.IN_UNMOUNT != 0:
		s.done(d.path(), true)
		return nil
	case mask&(unix.IN_MOVE_SELF|unix.IN_DELETE_SELF) != 0:
		return s.inPlace()
	case name == "" || !s.rooted(d):
		return nil
	}
	return s.changed(d, name, mask)
}

// ended deals with a watch that the kernel took away, with its directory.
func (s *session) ended(wd int, d *watchDir) error {
	delete(s.wds, wd)
	if d == s.root {
		return errRootLost
	}
	s.detach(d)
	return nil
}

func (s *session) detach(d *watchDir) {
	if d.parent != nil && d.parent.kids[d.name] == d {
		delete(d.parent.kids, d.name)
	}
	d.parent = nil
	if d != s.root {
		s.cut = append(s.cut, d)
	}
}

// changed deals with an event about one name in d.
func (s *session) changed(d *watchDir, name string, mask uint32) error {
	p := child(d.path(), name)
	dir := mask&unix.IN_ISDIR != 0
	const whole = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CREATE
	if d == s.root && mask&whole != 0 && s.rulesMoved(p, s.rules) {
		return s.idle()
	}
	if p == metaDir && mask&whole != 0 {
		s.all() // the marker may have gone with it: a scan asks the guards
	}
	if hide, _ := s.rules.one(string(p), dir); hide {
		if mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0 && d != s.root {
			s.done(d.path(), false) // it may have been all that kept a deleted directory
		}
		return nil
	}
	switch {
	case dir:
		s.directory(d, name, p, mask)
	case mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE) != 0:
		s.done(p, false)
	case mask&unix.IN_CREATE != 0:
		s.created(p)
	case mask&unix.IN_MODIFY != 0:
		s.note(func(q *pending, now time.Time) { q.writing(p, now) })
	case mask&unix.IN_ATTRIB != 0:
		s.note(func(q *pending, now time.Time) { q.attrib(p, now) })
	}
	return nil
}

func (s *session) directory(d *watchDir, name string, p event.Path, mask uint32) {
	if mask&(unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_CREATE|unix.IN_MOVED_TO) == 0 {
		s.note(func(q *pending, now time.Time) { q.attrib(p, now) })
		return
	}
	if k := d.kids[name]; k != nil {
		s.detach(k)
	}
	if mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 {
		k := &watchDir{name: name, parent: d}
		if d.kids == nil {
			d.kids = map[string]*watchDir{}
		}
		d.kids[name] = k
		_ = s.watchTree(k, p) // never of one that is not the root
	}
	s.done(p, true)
}

// created tells a file that is complete (a link, or another name of a file) from one that is about to be written.
func (s *session) created(p event.Path) {
	var st unix.Stat_t
	fd, err := s.t.openAt(p, linkFlags)
	if err == nil {
		err = unix.Fstat(fd, &st)
		_ = unix.Close(fd) // a handle
	}
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 {
		s.note(func(q *pending, now time.Time) { q.writing(p, now) })
		return
	}
	s.done(p, false)
}

// drop takes the watches away from what was cut off and did not come back.
func (s *session) drop() {
	for _, d := range s.cut {
		s.dropTree(d)
	}
	s.cut = s.cut[:0]
}

func (s *session) dropTree(d *watchDir) {
	if s.wds[d.wd] == d {
		delete(s.wds, d.wd)
		_, _ = unix.InotifyRmWatch(s.fd, uint32(d.wd)) // gone already, perhaps
	}
	for _, k := range d.kids {
		s.dropTree(k)
	}
}
