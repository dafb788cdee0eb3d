package event

import (
	"github.com/bwaklog/meerkat/chunker"
)

// Known is what an author had at a path when it changed it: fields of the [View] that it had applied. The zero Known
// had nothing and had seen nothing.
type Known struct {
	Value      Value
	Base       Vector
	CDot, MDot Dot
	Prev       []chunker.ID
}

// Known is what an author who has applied v knows.
func (v View) Known() Known { return Known{v.Value, v.Base, v.CDot, v.MDot, v.Prev} }

// Change drafts the event by which the author of k says that now stands at p. The content's dot becomes the event's
// own where the content changed, the metadata's where the mode or the kind did, or where the mtime did without the
// content. now is brought into form: links have LinkMode, directories and tombstones no mtime, and a tombstone keeps
// the mode of k. The draft shares the chunks of now and nothing else.
func Change(p Path, k Known, now Value, t HLC) Event {
	now = now.normal(k.Value)
	e := Event{Path: p, Value: now, Ctx: k.Base.Clone(), HLC: t}
	e.WasDir = now.Kind == Tomb && k.Value.Kind == Dir
	same := now.SameContent(k.Value)
	if same {
		e.CDot = k.CDot
	}
	if now.Kind == k.Value.Kind && now.Mode == k.Value.Mode && (!same || now.MTime == k.Value.MTime) {
		e.MDot = k.MDot
	}
	e.Prev = addPrev(nil, now.Content(), k.Value.Content())
	e.Prev = addPrev(e.Prev, now.Content(), k.Prev...)
	return e
}

// normal is v as an event may say it, where before it stood old.
func (v Value) normal(old Value) Value {
	switch v.Kind {
	case File:
		v.Mode, v.Target = v.Mode&ModeMask, ""
		if len(v.Chunks) > MaxInline || len(v.Chunks) == 0 {
			v.Chunks = nil
		}
		return v
	case Link:
		return Value{Kind: Link, Target: v.Target, Mode: LinkMode, MTime: v.MTime}
	case Dir:
		return Value{Kind: Dir, Mode: v.Mode & ModeMask}
	}
	return Value{Kind: Tomb, Mode: old.Mode & ModeMask}
}
