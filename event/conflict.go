package event

// IsConflictName tells whether p is named as [ConflictName] names copies.
func IsConflictName(p Path) bool {
	base := p.Base()
	return firstName(base) != base
}
