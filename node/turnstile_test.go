package node

import (
	"slices"
	"testing"
	"testing/synctest"
)

// A save does not wait for all that waits to be applied, and what is much comes
// to its turn however many saves there are.
func TestWhatIsLittleGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turnstile
		var went []string
		done := ts.pass(false)
		enter := func(name string, little bool) {
			go func() {
				end := ts.pass(little)
				went = append(went, name)
				end()
			}()
			synctest.Wait() // it waits
		}
		enter("much", false)
		want := []string{}
		for range overtakeMost + 1 {
			enter("little", true)
			want = append(want, "little")
		}
		want = slices.Insert(want, overtakeMost, "much")
		done()
		synctest.Wait()
		if !slices.Equal(went, want) {
			t.Errorf("they went as %q, want %q", went, want)
		}
		ts.pass(false)() // it is free again
	})
}
