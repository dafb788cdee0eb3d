package ui

import "time"

// Door is the door for tests in fake time.
type Door struct{ *door }

func NewDoor() Door                                   { return Door{newDoor()} }
func (d Door) Code(now time.Time) (string, time.Time) { return d.code(now) }
func (d Door) Redeem(c string, now time.Time) bool    { return d.redeem(c, now) }
func (d Door) Open(now time.Time) string              { return d.open(now) }
func (d Door) Knows(s string, now time.Time) bool     { return d.knows(s, now) }
