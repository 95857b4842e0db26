//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filejournal

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file until it is closed or this process ends, and reports
// whether nobody else has.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// likeOwner gives a file the owner of another, and reports whether it could.
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
