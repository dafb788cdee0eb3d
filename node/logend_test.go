package node

import (
	"testing"

	"github.com/bwaklog/meerkat/event"
)

func TestLogEndReadsWhatItWrote(t *testing.T) {
	l := logEnd{event.PoolID{1, 2, 0xff}, 1 << 63, 7}
	got, err := decodeLogEnd(l.encode())
	if err != nil || got != l {
		t.Errorf("decodeLogEnd = %+v, %v, want %+v", got, err, l)
	}
	if a, b := l.encode(), (logEnd{}).encode(); len(a) != len(b) {
		t.Errorf("%d and %d bytes long: what is written over an older one would leave a rest of it", len(a), len(b))
	}
}

func TestLogEndThatIsDamagedSaysNothing(t *testing.T) {
	whole := logEnd{event.PoolID{1}, 5, 7}.encode()
	for i := range whole {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 1
		for _, b := range [][]byte{bad, whole[:i]} {
			if l, err := decodeLogEnd(b); err == nil {
				t.Errorf("decodeLogEnd(%q) = %+v, want an error", b, l)
			}
		}
	}
}

func FuzzLogEnd(f *testing.F) {
	f.Add(logEnd{event.PoolID{1}, 5, 7}.encode())
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := decodeLogEnd(b); err == nil && string(l.encode()) != string(b) {
			t.Errorf("%q is read as %+v, which is written otherwise", b, l)
		}
	})
}
