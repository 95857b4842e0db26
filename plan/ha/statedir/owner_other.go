//go:build !unix

package statedir

import "io/fs"

// foreign knows of no owners here; there is no lock here either, and so no Load.
func foreign(fs.FileInfo) string { return "" }

func foreignLink(fs.FileInfo) string { return "" }
