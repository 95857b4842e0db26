package transport

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// FileError reports which operation of a Filer failed on which path. It wraps
// fs.ErrNotExist, fs.ErrPermission, ErrTooLarge, an *ExitError or what else
// was the cause.
type FileError struct {
	// Host is empty when the cause knows it.
	Host string
	// Op is stat, read, write, upload or remove.
	Op string
	// Path is empty when one of several files failed and the cause names it.
	Path string
	Err  error
}

func (e *FileError) Error() string {
	s := e.Op
	if e.Path != "" {
		s += fmt.Sprintf(" %q", e.Path)
	}
	if e.Host != "" {
		s = e.Host + ": " + s
	}
	return termsafe.Indented(s + ": " + e.Err.Error())
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// ownerName is what useradd and chown take for a name, or a number.
var ownerName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)

// Validate reports everything that is wrong with a file before any host is
// asked: the path as ValidatePath does, mode bits beyond 0777, an owner or group
// that is no name. Every Filer refuses such a file.
func (f File) Validate() error {
	var errs []error
	if err := ValidatePath(f.Path); err != nil {
		errs = append(errs, err)
	}
	if f.Mode&^0o777 != 0 {
		errs = append(errs, fmt.Errorf("%q: mode %v: only permission bits can be set", f.Path, f.Mode))
	}
	for _, name := range []string{f.Owner, f.Group} {
		if name != "" && !ownerName.MatchString(name) {
			errs = append(errs, fmt.Errorf("%q: %q is not a user or group name", f.Path, name))
		}
	}
	return errors.Join(errs...)
}

// ValidatePath refuses a path that is not absolute and clean, or holds a NUL.
func ValidatePath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("%q: the path is not absolute", p)
	case path.Clean(p) != p:
		return fmt.Errorf("%q: the path is not clean, write %q", p, path.Clean(p))
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("%q: the path holds a NUL byte", p)
	}
	return nil
}

// checkPaths is ValidatePath for all of them, as a *FileError.
func checkPaths(op string, paths ...string) error {
	var errs []error
	for _, p := range paths {
		if err := ValidatePath(p); err != nil {
			errs = append(errs, err)
		}
	}
	return fileError(op, "", errors.Join(errs...))
}

// validateFiles is Validate for all of them, as a *FileError.
func validateFiles(op string, files ...File) error {
	var errs []error
	for _, f := range files {
		if err := f.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return fileError(op, "", errors.Join(errs...))
}

func fileError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &FileError{Op: op, Path: path, Err: err}
}
