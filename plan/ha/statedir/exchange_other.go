//go:build !linux && !darwin

package statedir

import "errors"

// exchange is not to be had here.
func exchange(int, string, string) error { return errors.ErrUnsupported }

var unsupported = []error{errors.ErrUnsupported}
