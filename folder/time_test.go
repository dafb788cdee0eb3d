//go:build unix

package folder

import (
	"os"
	"testing"
	"time"
)

// TestFarTimesComeBack: a time that the file system can hold, and that is read from it, is written as it was.
func TestFarTimesComeBack(t *testing.T) {
	dir := t.TempDir()
	fs, err := OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{
		time.Date(1901, 12, 14, 1, 2, 3, 123456789, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Unix(0, 0),
		time.Date(2262, 4, 11, 23, 47, 16, 854775807, time.UTC), time.Date(2262, 4, 12, 0, 0, 0, 1, time.UTC),
		time.Date(2300, 1, 1, 0, 0, 0, 5, time.UTC), time.Date(2446, 5, 10, 0, 0, 0, 0, time.UTC),
	} {
		for _, name := range []string{"from", "to"} {
			if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(dir+"/from", at, at); err != nil {
			t.Fatal(err)
		}
		want, err := os.Stat(dir + "/from")
		if err != nil {
			t.Fatal(err)
		}
		st, err := fs.Stat("test", "from")
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.Attr("test", "to", Attr{SetMTime: true, MTime: st.MTime}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Stat(dir + "/to"); err != nil || !got.ModTime().Equal(want.ModTime()) {
			t.Errorf("%v became %v (%v)", want.ModTime(), got.ModTime(), err)
		}
	}
}
