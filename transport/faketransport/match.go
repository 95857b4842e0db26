package faketransport

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/quorate-dev/quorate/transport"
)

// Match reports which commands a Handler is for.
type Match struct {
	matches func(argv []string) bool
	shown   string
	program string // its first word, if it has a fixed one
}

// Exact matches this argument vector.
func Exact(argv ...string) Match {
	return Match{func(a []string) bool { return slices.Equal(a, argv) }, shellescape.QuoteCommand(argv), first(argv)}
}

// Prefix matches argument vectors that start with these words.
func Prefix(words ...string) Match {
	return Match{
		func(a []string) bool { return len(a) >= len(words) && slices.Equal(a[:len(words)], words) },
		shellescape.QuoteCommand(words) + " ...", first(words),
	}
}

// Regexp matches the words joined by single spaces. Anchor it yourself.
func Regexp(re *regexp.Regexp) Match {
	return Match{func(a []string) bool { return re.MatchString(strings.Join(a, " ")) }, "/" + re.String() + "/", ""}
}

// MatchFunc matches what f accepts; messages print shown.
func MatchFunc(shown string, f func(argv []string) bool) Match { return Match{f, shown, ""} }

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// Invocation is a command that a Handler carries out.
type Invocation struct {
	Host *Host
	Argv []string
	// Stdin, Stdout and Stderr are never nil.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Next carries the command out as if this Handler were not there: by the one that
	// was added before it, or by what is built in.
	Next func(ctx context.Context) error
}

// Handler carries out a scripted command. nil is exit status 0; a
// *transport.ExitError, such as Exit returns, is the command's end, and any
// other error is returned by Run as it is. It must return when ctx ends.
type Handler func(ctx context.Context, in Invocation) error

// Exit is the error for an exit status.
func Exit(code int) error { return &transport.ExitError{Code: code} }

// Reply is a Handler that prints stdout and succeeds.
func Reply(stdout string) Handler {
	return func(_ context.Context, in Invocation) error {
		_, err := io.WriteString(in.Stdout, stdout)
		return err
	}
}

// Fail is a Handler that prints stderr and exits with code.
func Fail(code int, stderr string) Handler {
	return func(_ context.Context, in Invocation) error {
		if _, err := io.WriteString(in.Stderr, stderr); err != nil {
			return err
		}
		return Exit(code)
	}
}

type scripted struct {
	match   Match
	handler Handler
	// once is of one that takes a single command, used of one that has taken it.
	once, used bool
}
