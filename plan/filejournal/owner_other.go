//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package filejournal

import "os"

// likeOwner knows of no owners here.
func likeOwner(*os.File, os.FileInfo) bool { return true }
