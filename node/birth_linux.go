package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// birthOf names the state directory's lock file as an object of this disk: it
// is made once, and a copy of the state has another one. "" when the system
// cannot tell.
func birthOf(stateDir string) string {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, filepath.Join(stateDir, "LOCK"), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_BTIME, &st)
	switch {
	case err != nil:
		return ""
	case st.Mask&unix.STATX_BTIME == 0:
		return fmt.Sprintf("%d on %d:%d", st.Ino, st.Dev_major, st.Dev_minor)
	}
	// The number of a device may be another after a boot; inode and time of birth are not.
	return fmt.Sprintf("%d of %d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec)
}

// bootOf names the run of the operating system, "" when it cannot tell.
func bootOf() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
