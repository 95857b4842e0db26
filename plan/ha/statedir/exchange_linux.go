package statedir

import "golang.org/x/sys/unix"

// exchange has two names in a directory change places.
func exchange(dir int, a, b string) error {
	return unix.Renameat2(dir, a, dir, b, unix.RENAME_EXCHANGE)
}

// unsupported are what a file system says that cannot exchange names.
var unsupported = []error{unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP}
