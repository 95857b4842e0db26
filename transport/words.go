package transport

// worded is an error of another package with words of a host in it.
type worded interface {
	error
	FilterWords(filter func(text string) string) error
}

// FilterWords returns err with everything that a host has said in it passed through
// filter: standard error, what was printed in place of a command, the messages of its
// sshd. Types and reasons stay as they are. Errors that are unknown here are
// returned as they are, with all that they wrap, unless they have a method FilterWords
// with this filter, which returns such a copy of themselves.
func FilterWords(err error, filter func(text string) string) error {
	switch e := err.(type) { //nolint:errorlint // one error after the other
	case worded:
		return e.FilterWords(filter)
	case *FileError:
		own := *e
		own.Err = FilterWords(e.Err, filter)
		return &own
	case *DialError:
		own := *e
		own.Err = FilterWords(e.Err, filter)
		return &own
	case *TunnelError:
		own := *e
		own.Err = FilterWords(e.Err, filter)
		return &own
	case *StillRunningError:
		own := *e
		own.Err, own.Why = FilterWords(e.Err, filter), FilterWords(e.Why, filter)
		return &own
	case *NotStartedError:
		own := *e
		own.Said, own.Err = filter(e.Said), FilterWords(e.Err, filter)
		return &own
	case *UnknownExitError:
		own := *e
		own.Stderr, own.Err = filter(e.Stderr), FilterWords(e.Err, filter)
		return &own
	case *ExitError:
		own := *e
		own.Stderr = filter(e.Stderr)
		return &own
	case *refusal:
		own := *e
		own.exit.Stderr = filter(e.exit.Stderr)
		return &own
	case *scriptFailure:
		return &scriptFailure{e.file, FilterWords(e.cause, filter)}
	}
	return err
}
