package node

// nudge wakes one waiter. It carries no fact: the store does.
type nudge struct{ c chan struct{} }

func newNudge() nudge { return nudge{c: make(chan struct{}, 1)} }

// poke never blocks; pokes that nobody has taken yet are one.
func (n nudge) poke() {
	select {
	case n.c <- struct{}{}:
	default:
	}
}
