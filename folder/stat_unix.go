//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package folder

import (
	"io/fs"
	"reflect"
	"syscall"
)

func statInfo(fi fs.FileInfo) Stat {
	s := Stat{Size: fi.Size(), MTime: fi.ModTime().UnixNano(), Mode: modeOf(fi.Mode())}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.Dev, s.Ino, s.CTime = uint64(st.Dev), uint64(st.Ino), ctimeOf(st) //nolint:unconvert // not the same type everywhere
	}
	return s
}

// ctimeOf finds the change time under the name that this system gives it.
func ctimeOf(st *syscall.Stat_t) int64 {
	v := reflect.ValueOf(st).Elem()
	for _, name := range []string{"Ctimespec", "Ctim"} {
		if f := v.FieldByName(name); f.IsValid() {
			if ts, ok := f.Interface().(syscall.Timespec); ok {
				return ts.Nano()
			}
		}
	}
	return 0
}

func linksOf(fi fs.FileInfo) (uint64, error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, ErrUnsupported
	}
	return uint64(st.Nlink), nil //nolint:unconvert // not the same type everywhere
}
