package node

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/bwaklog/meerkat/event"
)

// logEnd is how far this node's log has come, as the folder says. The state
// knows it better, unless it is an older state that was put back in the place
// of the newer one: that leaves no trace in the state itself.
type logEnd struct {
	pool  event.PoolID
	epoch uint64
	seq   uint64
}

const logEndText = "%x %016x %016x"

func (l logEnd) encode() []byte {
	text := fmt.Appendf(nil, logEndText, l.pool[:], l.epoch, l.seq)
	return fmt.Appendf(text, " %08x\n", crc32.ChecksumIEEE(text))
}

// decodeLogEnd reads what encode wrote; anything else, like what a power
// failure left of it, says nothing.
func decodeLogEnd(b []byte) (l logEnd, err error) {
	var raw []byte
	var sum uint32
	if _, err := fmt.Sscanf(string(b), "%x %x %x %x\n", &raw, &l.epoch, &l.seq, &sum); err != nil {
		return logEnd{}, fmt.Errorf("end of the log: %w", err)
	}
	copy(l.pool[:], raw)
	if string(l.encode()) != string(b) {
		return logEnd{}, errors.New("end of the log: damaged")
	}
	return l, nil
}

// noteLogEnd has the folder know how far the log has come. It is called after
// the commit, so that the folder never knows of more than was signed, and
// before anything is announced.
func (r *replica) noteLogEnd() {
	head, _ := r.st.Head(r.writer)
	l := logEnd{r.id, r.writer.Epoch, head.Seq}
	if err := r.useFolder(func() error { return r.fold.NoteLog(l.encode()) }); err != nil {
		r.log.Debug("what the folder knows of the log is old", "pool", r.name(), "err", err)
	}
}

// outrun reports whether the folder knows more of this node's log than the
// state does. Where nothing of the log counts any more, the state knows less of
// it by right.
func (r *replica) outrun() bool {
	l, err := decodeLogEnd(r.fold.NotedLog())
	head, _ := r.st.Head(r.writer)
	if err != nil || l.pool != r.id || r.st.Roster().MayWrite(r.writer, head.Seq+1) != nil {
		return false
	}
	return l.epoch > r.writer.Epoch || l.epoch == r.writer.Epoch && l.seq > head.Seq
}
