package pool

import (
	"fmt"
	"strings"
)

// Role says what a member may do. The zero Role is no role at all: not a member.
type Role uint8

// The roles, from the least to the most.
const (
	Reader Role = iota + 1 // receives
	Keeper                 // receives, serves, and honours tickets
	Writer                 // changes files
	Admin                  // changes files, and decides who belongs
)

var roleNames = [...]string{"none", "reader", "keeper", "writer", "admin"}

// String is the role's name as people write it.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole is the inverse of String for the four roles; case does not matter.
func ParseRole(s string) (Role, error) {
	for r := Reader; r <= Admin; r++ {
		if strings.EqualFold(s, r.String()) {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown role %q: it is one of reader, keeper, writer, admin", s)
}

// Valid reports whether r is one of the four roles.
func (r Role) Valid() bool { return r >= Reader && r <= Admin }

// Within reports whether s may do all that r may.
func (r Role) Within(s Role) bool {
	return r.Valid() && s.Valid() && (r == s || r == Reader || s == Admin)
}

// Meet is the greatest role within both; no role where one of them is none.
func Meet(a, b Role) Role {
	switch {
	case !a.Valid() || !b.Valid():
		return 0
	case a.Within(b):
		return a
	case b.Within(a):
		return b
	}
	return Reader // a writer and a keeper have nothing else in common
}

// Writes reports whether events of this role count.
func (r Role) Writes() bool { return r == Writer || r == Admin }

// Admits reports whether this role may honour tickets.
func (r Role) Admits() bool { return r == Keeper || r == Admin }

// Admin reports whether this role may admit by hand, invite, remove, and
// change roles and names.
func (r Role) Admin() bool { return r == Admin }
