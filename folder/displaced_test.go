package folder_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/folder"
)

// What was replaced and can be put nowhere may be the last copy of something: it stays, whatever is written at its path next,
// and comes to the versions once they take it, with what it holds.
func TestDisplacedFileIsKept(t *testing.T) {
	first, second, third := tree{"f": file("first")}, tree{"f": file("second")}, tree{"f": file("third")}
	r := newRig(t, first)
	full := func(labels ...folder.Label) {
		r.fs.arm(func(c call) error {
			for _, l := range labels {
				if c.label == l {
					return syscall.ENOSPC
				}
			}
			return nil
		})
	}
	full("version", "park")
	if out, err := r.apply(second); err != nil || out[0].Result != folder.Done {
		t.Fatalf("%s, %v", results(out), err)
	}
	r.scan(second)
	if out, err := r.apply(third); !errors.Is(err, syscall.ENOSPC) && (err != nil || out[0].Result == folder.Done) {
		t.Errorf("%s, %v: want it to wait, for its temporary name is taken", results(out), err)
	}
	noneLost(t, "full", r.root, first)
	if vs := r.f.Rescue(time.Now()); len(vs) != 0 {
		t.Errorf("Rescue = %v while nothing can be moved", vs)
	}
	full("version") // it leaves its temporary name, which the next step takes
	if out, err := r.apply(third); err != nil || out[0].Result != folder.Done {
		t.Errorf("%s, %v", results(out), err)
	}
	r.scan(third)
	full()
	vs := r.f.Rescue(time.Now())
	if len(vs) != 2 || vs[0].Of != "f" || vs[0].Root != first["f"].value(t).Root || vs[1].Root != second["f"].value(t).Root {
		t.Errorf("Rescue = %+v, want the first two versions of f", vs)
	}
	if again := r.f.Rescue(time.Now()); len(again) != 0 {
		t.Errorf("Rescue again = %v", again)
	}
	same(t, "in the end", look(t, r.root), third)
	noneLost(t, "in the end", r.root, first)
	noneLost(t, "in the end", r.root, second)
}
