package folder

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// marks are places in the queue of an inotify instance. A watch that is taken away says so behind everything that the
// kernel had to say before.
type marks struct {
	mu sync.Mutex
	by map[int]chan struct{} // watches that were taken away for it
}

// mark closes the result when the session has come to this place in its queue; nil where no mark could be made.
func (s *session) mark() <-chan struct{} {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	// The node's own directory is watched for nothing else.
	wd, err := unix.InotifyAddWatch(s.fd, "/proc/self/fd/"+strconv.Itoa(s.t.fs.fd)+"/"+metaDir, unix.IN_DELETE_SELF|unix.IN_ONLYDIR)
	if err != nil {
		return nil
	}
	if _, err := unix.InotifyRmWatch(s.fd, uint32(wd)); err != nil {
		return nil
	}
	if s.marks.by == nil {
		s.marks.by = map[int]chan struct{}{}
	}
	c := make(chan struct{})
	s.marks.by[wd] = c
	return c
}

// come says that the session has come to a mark.
func (s *session) come(wd int) {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	if c := s.marks.by[wd]; c != nil {
		close(c)
		delete(s.marks.by, wd)
	}
}

// skip passes all marks: what the kernel had to say was lost, or will not be taken any more, and everything is dirty.
func (s *session) skip() {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	for _, c := range s.marks.by {
		close(c)
	}
	clear(s.marks.by)
}
