package oracle

import "fmt"

// UnknownReleaseError is a version that is none of [Releases].
type UnknownReleaseError struct{ Version string }

func (e *UnknownReleaseError) Error() string {
	return fmt.Sprintf("no oracle for Kubernetes %q", e.Version)
}

// BuildError is an oracle that could not be built.
type BuildError struct {
	Release Release
	Err     error
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("build the oracle of %s: %v", e.Release, e.Err)
}

func (e *BuildError) Unwrap() error { return e.Err }

// RunError reports that an oracle returned no verdicts. It judges no file.
type RunError struct {
	Binary string
	Err    error
	// Stderr of the program, which holds none of the files.
	Stderr string
}

func (e *RunError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("%s: %v", e.Binary, e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Binary, e.Err, e.Stderr)
}

func (e *RunError) Unwrap() error { return e.Err }
