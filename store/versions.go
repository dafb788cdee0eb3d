package store

// Versions calls f for each file below .meerkat/versions whose content is known, in no order that means anything, until f
// returns false. It reads through all references of the pool: tens of milliseconds for 100,000 files.
func (p *Pool) Versions(f func(Version) bool) error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	err := scan(p.db.pebble, p.space.table(nil, tabRef), func(key, _ []byte) error {
		r, err := refOf(key)
		if err == nil && r.kind == refVersion && !f(Version{Path: r.path, Root: r.root}) {
			err = errStop
		}
		return err
	})
	return wrap("read versions", err)
}
