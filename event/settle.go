package event

import (
	"encoding/base32"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Settle drafts what resolves p, whose state is s: a copy of each loser at its [ConflictName], and then the event at p
// that has seen all siblings and says the winner. A copy is left out where its path holds, or held, that very content
// already, so nobody's deletion of a copy is undone. at tells the state of a copy's path, t the time of each event. A
// path with nothing to resolve needs no events. Nodes that settle one state independently say the same values, so
// their events merge. What was only found stays so.
//
// The events belong into one commit, the copies first: the last one lets go of the losers.
func Settle(p Path, s State, liveKids bool, at func(Path) State, t func() HLC) []Event {
	v := s.View(liveKids)
	if v.Settled || len(s.Live) == 0 && !v.Implied {
		return nil
	}
	var out []Event
	for _, l := range v.Losers {
		if e, ok := copyOf(p, l, at, t); ok {
			out = append(out, e)
		}
	}
	e := Event{Path: p, Value: v.Value, CDot: v.CDot, MDot: v.MDot, Ctx: s.Covered.Clone(), HLC: t(), Prev: v.Prev}
	e.WasDir = v.Value.Kind == Tomb && slices.ContainsFunc(s.Live, func(l Leaf) bool { return l.Event.WasDir })
	e.Found = v.Value.Live() && !v.Implied && s.onlyFound(v.Value)
	for _, l := range s.Live {
		e.Ctx = e.Ctx.put(l.Dot)
	}
	return append(out, e)
}

// onlyFound says whether all who say v came upon it: then to say it again is no more than that.
func (s State) onlyFound(v Value) bool {
	return !slices.ContainsFunc(s.Live, func(l Leaf) bool { return l.Event.Value.SameContent(v) && !l.Event.Found })
}

// copyOf drafts the conflict copy of l. Its ctx covers what is covered at the copy's path already and no live event:
// should another value stand there, it stays, as a sibling.
func copyOf(p Path, l Loser, at func(Path) State, t func() HLC) (Event, bool) {
	cp := ConflictName(p, l.Leaf)
	s := at(cp)
	if s.had(l.Value) {
		return Event{}, false
	}
	return Event{Path: cp, Value: l.Value, Ctx: s.Covered.Clone(), HLC: t(), From: p}, true
}

// had says whether v's content is or was at the path of s, as far as its live leaves remember.
func (s State) had(v Value) bool {
	id := v.Content()
	return slices.ContainsFunc(s.Live, func(l Leaf) bool {
		return l.Event.Value.SameContent(v) || slices.Contains(l.Event.Prev, id)
	})
}

const (
	conflictMark = ".conflict-"
	conflictTime = "20060102T150405Z"
	conflictID   = 8
	// conflictTail is the length of all that comes between the name and its extension.
	conflictTail = len(conflictMark) + len(conflictTime) + 1 + conflictID
)

var conflictText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ConflictName is where the copy of l goes when it loses p: beside it, as NAME.conflict-YYYYMMDDTHHMMSSZ-xxxxxxxx.EXT,
// by the time and the hash of l alone. A copy of a conflict copy is named after the first NAME. NAME is cut at a
// character's boundary so that the name has at most [MaxName] bytes and the path at most [MaxPath]; below a directory so deep that this leaves no room, the copy goes to the nearest one above that has it.
func ConflictName(p Path, l Leaf) Path {
	dir := p.Dir()
	for dir != "" && len(dir)+1+conflictTail+utf8.UTFMax > MaxPath {
		dir = dir.Dir()
	}
	room := min(MaxName, MaxPath-len(dir)-1) - conflictTail
	name, ext := splitName(firstName(p.Base()))
	if len(ext) > room-utf8.UTFMax {
		name, ext = name+ext, "" // it would leave no room for a character of the name
	}
	return dir.Join(cut(name, room-len(ext)) + conflictMark + stamp(l) + ext)
}

func stamp(l Leaf) string {
	at := l.Event.HLC.Time()
	if last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC); at.After(last) {
		at = last // a year of five digits has no place in the name
	}
	return at.Format(conflictTime) + "-" + conflictText.EncodeToString(l.Hash[:5])
}

// firstName is base without the marks that conflict copies added.
func firstName(base string) string {
	for from := 0; ; {
		i := strings.Index(base[from:], conflictMark)
		if i < 0 {
			return base
		}
		i += from
		end := i + conflictTail
		if i > 0 && end <= len(base) && isStamp(base[i+len(conflictMark):end]) && (end == len(base) || base[end] == '.') {
			base = base[:i] + base[end:]
			continue
		}
		from = i + 1
	}
}

func isStamp(s string) bool {
	at, id := s[:len(conflictTime)], s[len(conflictTime):]
	_, err := time.Parse(conflictTime, at)
	return err == nil && id[0] == '-' && strings.Trim(id[1:], "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// splitName cuts the extension off: from the last dot, unless that begins or ends the name.
func splitName(base string) (name, ext string) {
	i := strings.LastIndexByte(base, '.')
	if i <= 0 || i == len(base)-1 || strings.Trim(base[:i], ".") == "" {
		return base, ""
	}
	return base[:i], base[i:]
}

// cut is the longest start of s of at most n bytes that splits no character. A byte that is no UTF-8 counts as one.
func cut(s string, n int) string {
	end := 0
	for end < len(s) {
		_, size := utf8.DecodeRuneInString(s[end:])
		if end+size > n {
			break
		}
		end += size
	}
	return s[:end]
}
