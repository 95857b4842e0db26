package statedir

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// AccessError refuses a directory that somebody else could have written to, or
// could read keys in. Nothing has been changed.
type AccessError struct {
	Dir string
	// Problems name each path, what is wrong with it, and the command that mends
	// it.
	Problems []string
}

func (e *AccessError) Error() string {
	return termsafe.Indented(fmt.Sprintf("state directory %s: %s. Who could write there may have replaced keys: compare with a backup before you go on",
		e.Dir, strings.Join(e.Problems, "; ")))
}

// FileError reports a file of the directory that is missing or cannot be used.
// Nothing has been changed. It never holds the file's content.
type FileError struct {
	// Path of the file, its directory included.
	Path string
	// Err says what is wrong and what to do.
	Err error
}

func (e *FileError) Error() string {
	return termsafe.Indented("state directory: " + e.Path + ": " + e.Err.Error())
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// LockedError reports that another program had the directory locked for all the
// time that there was to wait. Reading and writing it takes a second at most: one
// that does not end is stuck or stopped.
type LockedError struct {
	Dir    string
	Waited time.Duration
}

func (e *LockedError) Error() string {
	return termsafe.Indented(fmt.Sprintf("state directory %s: another program has it locked since %s: wait until that one has ended, or end it", e.Dir, e.Waited))
}
