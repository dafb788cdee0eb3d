package control

import "io/fs"

// private trusts no directory: Windows tells no owner here, so a home whose
// path is too deep for a socket is refused there.
func private(fs.FileInfo) bool { return false }
