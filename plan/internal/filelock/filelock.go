// Package filelock has locks of files that end with the process that holds them.
package filelock

import "os"

// Is reports whether a path leads to an open file: whoever has locked a file has
// a lock of the path only if it does.
func Is(f *os.File, path string) (bool, error) {
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}
