package event

// IsConflictName tells whether p is named as [ConflictName] names copies.
func IsConflictName(p Path) bool { return ConflictOf(p) != p }

// ConflictOf is the path whose losing edit is kept at p: p itself where it is not named as [ConflictName] names copies.
func ConflictOf(p Path) Path { return p.Dir().Join(firstName(p.Base())) }
