package store

import (
	"errors"

	"github.com/bwaklog/meerkat/event"
)

// Reasons of needs that nobody waits for: they are not counted in NeedTotal.
const (
	Ignored = "ignored"    // the rules leave the path alone
	Local   = "local_edit" // what lies here was changed by a node that may not change the pool
	Held    = "held"       // a person is asked first
)

// waitsForNobody says whether nobody waits for what has that reason.
func waitsForNobody(reason string) bool {
	return reason == Ignored || reason == Local || reason == Held
}

// Need is a path where the disk, as the index knows it, is not what the tree wants.
type Need struct {
	Path    event.Path
	Bytes   int64  // content that has to come; 0 when it is only metadata, a deletion or another kind
	Reason  string // why it waits; "" while nothing stands in the way
	Message string // the same for people
}

// agrees says whether h is what v wants, so that h may take over v's base.
func agrees(h Have, v event.View) bool {
	k := h.Known.Value
	if k.Kind == event.Tomb {
		return v.Value.Kind == event.Tomb
	}
	return k.Same(v.Value)
}

// wanted says whether anything is known of the path, even if only that it was deleted.
func (e entry) wanted(v event.View) bool { return e.known() || v.Value.Live() }

// adopt moves what the index knows to the tree's view, where both are the same value.
func (n *node) adopt() {
	n.current = n.has && n.now.wanted(n.after) && agrees(n.have, n.after)
	if n.current {
		n.have.Known.Value = n.after.Value
		n.have.follow(n.after)
	}
}

// need says whether something is to be done at the path, and how many bytes have to come for it.
func (e entry) need(v event.View, h Have, has bool) (bytes int64, need bool) {
	switch {
	case !e.wanted(v):
		// Nothing was ever said about the path. What lies there is none of our business, unless we made it: an implied
		// directory whose children are gone.
		return 0, has && h.Known.Value.Kind == event.Dir && len(h.Known.Base) == 0
	case has && agrees(h, v):
		return 0, false
	case v.Value.Kind == event.File && !(has && h.Known.Value.SameContent(v.Value)):
		return v.Value.Size, true
	}
	return 0, true
}

// settleNeed writes the need of n. What stood in the way of another value need not stand in the way of this one; only
// what is ignored stays so.
func (c *change) settleNeed(n *node) error {
	var row needRow
	bytes, need := n.now.need(n.after, n.have, n.has)
	if !n.was.needs && !need {
		return nil
	}
	c.key = c.p.space.path(c.key[:0], tabNeed, n.path)
	if n.was.needs {
		old, err := c.readNeed(c.key)
		if err != nil {
			return err
		}
		c.facts.sums.need(old, -1)
		if old.reason == Ignored || n.before.Value.Same(n.after.Value) {
			row = old
		}
	}
	n.now.needs = need
	if !need {
		return c.b.Delete(c.key, nil)
	}
	row.bytes = bytes
	if why, ok := c.reasons[n.path]; ok {
		row.reason, row.message = why.Code, why.Message
	}
	c.facts.sums.need(row, +1)
	return c.b.Set(c.key, row.append(nil), nil)
}

func (c *change) readNeed(key []byte) (needRow, error) {
	raw, err := c.db.get(key)
	if err == nil && raw == nil {
		err = corrupt("a need without its row")
	}
	if err != nil {
		return needRow{}, err
	}
	return readNeed(raw)
}

func (s *sums) need(r needRow, by int64) {
	if !waitsForNobody(r.reason) {
		s.needFiles += by
		s.needBytes += by * r.bytes
	}
}

// Needs are up to max needs behind the path after ("": from the start), each directory before what is below it. Callers
// must not change them. While nothing changes, asking again from the start reads no disk.
func (p *Pool) Needs(after event.Path, max int) []Need {
	if after != "" {
		needs, _ := p.listNeeds(after, max)
		return needs
	}
	seq := p.shown.Load().seq
	if f := p.first.Load(); f != nil && f.seq == seq && (len(f.needs) < f.max || max <= f.max) {
		n := min(max, len(f.needs))
		return f.needs[:n:n]
	}
	needs, err := p.listNeeds("", max)
	if err == nil {
		p.first.Store(&firstNeeds{seq, max, needs})
	}
	return needs
}

// firstNeeds are the needs, at most max, as they were with the change seq. To read them anew costs a step for each row
// that is deleted and not compacted away yet: after a first sync, one for each file.
type firstNeeds struct {
	seq   uint64
	max   int
	needs []Need
}

func (p *Pool) listNeeds(after event.Path, max int) (needs []Need, err error) {
	err = p.needs(after, func(n Need) error {
		if len(needs) >= max {
			return errStop
		}
		needs = append(needs, n)
		return nil
	})
	if err != nil && !errors.Is(err, ErrClosed) {
		p.db.log.Error("read needs", "pool", p.id, "err", err)
	}
	return needs, err
}

// needs calls f for each need behind after.
func (p *Pool) needs(after event.Path, f func(Need) error) error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	prefix := p.space.table(nil, tabNeed)
	from := prefix
	if after != "" {
		from = append(p.space.path(nil, tabNeed, after), 0)
	}
	return scanFrom(p.db.pebble, prefix, from, func(key, row []byte) error {
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		r, err := readNeed(row)
		if err != nil {
			return err
		}
		return f(Need{path, r.bytes, r.reason, r.message})
	})
}

// NeedTotal counts the needs, and the bytes that have to come for them, but for those that are [Ignored],
// [Local] or [Held].
func (p *Pool) NeedTotal() (files, bytes int64) {
	s := p.shown.Load().sums
	return s.needFiles, s.needBytes
}

// NeedAt is the need of one path, if it has one.
func (p *Pool) NeedAt(path event.Path) (Need, bool, error) {
	if err := p.db.gate.enter(); err != nil {
		return Need{}, false, err
	}
	defer p.db.gate.leave()
	raw, err := get(p.db.pebble, p.space.path(nil, tabNeed, path))
	if err != nil || raw == nil {
		return Need{}, false, wrap("read need "+string(path), err)
	}
	r, err := readNeed(raw)
	return Need{path, r.bytes, r.reason, r.message}, err == nil, err
}

// SetReason notes why the need of path waits; "" says that it does not. Without a need it does nothing. A reason is
// forgotten when the tree wants another value, but for [Ignored], which stays as long as the need.
func (p *Pool) SetReason(path event.Path, reason, message string) error {
	return p.change("note reason of "+string(path), func(c *change) error {
		return c.setReason(path, reason, message)
	})
}

// SetReasons is [Pool.SetReason] for many paths in one commit; what Bytes says does not matter.
func (p *Pool) SetReasons(needs []Need) error {
	return p.change("note reasons", func(c *change) error {
		for _, n := range needs {
			if err := c.setReason(n.Path, n.Reason, n.Message); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *change) setReason(path event.Path, reason, message string) error {
	key := c.p.space.path(nil, tabNeed, path)
	raw, err := c.db.get(key)
	if err != nil || raw == nil {
		return err
	}
	row, err := readNeed(raw)
	if err != nil || row.reason == reason && row.message == message {
		return err
	}
	c.facts.sums.need(row, -1)
	row.reason, row.message = reason, message
	c.facts.sums.need(row, +1)
	return c.b.Set(key, row.append(nil), nil)
}

// ClearReasons takes that reason away from all needs that have it.
func (p *Pool) ClearReasons(reason string) error {
	if reason == "" {
		return nil
	}
	var paths []event.Path
	err := p.needs("", func(n Need) error {
		if n.Reason == reason {
			paths = append(paths, n.Path)
		}
		return nil
	})
	if err != nil || len(paths) == 0 {
		return wrap("clear reason "+reason, err)
	}
	return p.change("clear reason "+reason, func(c *change) error {
		for _, path := range paths {
			if err := c.clearReason(path, reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// clearReason looks again: the need may have changed since it was listed.
func (c *change) clearReason(path event.Path, reason string) error {
	raw, err := c.db.get(c.p.space.path(nil, tabNeed, path))
	if err != nil || raw == nil {
		return err
	}
	if row, err := readNeed(raw); err != nil || row.reason != reason {
		return err
	}
	return c.setReason(path, "", "")
}
