package node

import "sync"

// overtakeMost is how often in a row what is little goes before what is much.
const overtakeMost = 8

// turnstile lets one through at a time, and what is little before what is much,
// which waits its turn all the same. The zero value is ready.
type turnstile struct {
	mu        sync.Mutex
	taken     bool
	few, many []chan struct{} // that wait, in the order in which they came
	overtaken int             // how often in a row many were
}

// pass waits for its turn; the returned function ends that.
func (t *turnstile) pass(little bool) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taken {
		t.taken = true
		return t.next
	}
	turn := make(chan struct{})
	if little {
		t.few = append(t.few, turn)
	} else {
		t.many = append(t.many, turn)
	}
	t.mu.Unlock()
	<-turn
	t.mu.Lock()
	return t.next
}

func (t *turnstile) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := &t.many
	if len(t.few) > 0 && (len(t.many) == 0 || t.overtaken < overtakeMost) {
		from, t.overtaken = &t.few, t.overtaken+1
	} else {
		t.overtaken = 0
	}
	if len(*from) == 0 {
		t.taken = false
		return
	}
	close((*from)[0])
	*from = (*from)[1:]
}
