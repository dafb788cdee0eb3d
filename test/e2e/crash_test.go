package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestO_CR_1_KilledWhileFilesArrive(t *testing.T) {
	l, a, b := two(t)
	for i := range 1000 {
		a.Put(fmt.Sprintf("d%d/f%d", i%20, i), string(lab.Noise(uint64(i), 8_000)))
		if i%50 == 25 {
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			b.Kill()
			start := time.Now()
			b.Up()
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("start-up took %v", took)
			}
		}
	}
	l.Equal(a, b)
	a.WantConflicts(0)
	if n := len(lab.Snapshot(t, b.Dir)); n != 1020 {
		t.Errorf("b has %d entries, want 1020", n)
	}
}

func TestO_CR_3_KilledAfterSaving(t *testing.T) {
	l, a, b := two(t)
	for i := range 50 {
		a.Write("f", fmt.Sprintf("version %d", i))
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		a.Kill()
		a.Up()
		l.Until(30*time.Second, "the version on b", func() error {
			if got := b.Read("f"); got != fmt.Sprintf("version %d", i) {
				return fmt.Errorf("b has %.40q", got)
			}
			return nil
		})
	}
	l.Equal(a, b)
	a.WantConflicts(0)
}

func TestTransferResumesAfterKill(t *testing.T) {
	for _, who := range []string{"receiver", "sender"} {
		t.Run(who, func(t *testing.T) {
			l, a, b := two(t)
			const size = 1 << 30
			tmp := a.Path("../big")
			f, err := os.Create(tmp)
			a.OK(err)
			for i := range 64 {
				_, err := f.Write(lab.Noise(uint64(i), size/64))
				a.OK(err)
			}
			a.OK(f.Close())
			in0, _ := b.Wire()
			a.OK(os.Rename(tmp, a.Path("big")))
			l.Until(60*time.Second, "a third has come", func() error {
				if in, _ := b.Wire(); in-in0 < size/3 {
					return fmt.Errorf("%d bytes", in-in0)
				}
				return nil
			})
			victim := b
			if who == "sender" {
				victim = a
			}
			victim.Kill()
			victim.Up()
			l.EqualWithin(2*time.Minute, a, b)
			if in, _ := b.Wire(); float64(in-in0) > 1.1*size {
				t.Errorf("b received %.3f of the file", float64(in-in0)/size)
			} else {
				t.Logf("b received %.3f of the file", float64(in-in0)/size)
			}
		})
	}
}
