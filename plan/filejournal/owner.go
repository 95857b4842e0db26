//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filejournal

import (
	"os"
	"syscall"
)

// likeOwner sets a file to the owner of another, and reports whether it could.
func likeOwner(f *os.File, of os.FileInfo) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	is, isOK := info.Sys().(*syscall.Stat_t)
	want, wantOK := of.Sys().(*syscall.Stat_t)
	if !isOK || !wantOK || is.Uid == want.Uid && is.Gid == want.Gid {
		return isOK && wantOK
	}
	return f.Chown(int(want.Uid), int(want.Gid)) == nil
}
