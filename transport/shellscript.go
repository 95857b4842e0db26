package transport

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/transport/internal/frame"
)

var (
	//go:embed scripts/common.sh
	commonScript string
	//go:embed scripts/stat.sh
	statScript string
	//go:embed scripts/read.sh
	readScript string
	//go:embed scripts/readall.sh
	readAllScript string
	//go:embed scripts/remove.sh
	removeScript string
	//go:embed scripts/stage.sh
	stageScript string
	//go:embed scripts/upload.sh
	uploadScript string
)

// script is one call of a function main.
type script struct {
	text string
	args []string
	// stdin is main's standard input. Without one the script itself is the
	// standard input of sh -s, so that what is in it is no argument of a process
	// and may be of any size.
	stdin io.Reader
	// limit bounds what main prints; 0 means little.
	limit int64
}

// compose is the script as it is sent. Its arguments are quoted words of a set,
// whatever they hold; the last line is what runs it, so that a script that was cut short
// on the way does nothing.
func (s script) compose(mark string) string {
	return "set --" + frame.Words(s.args) + "\nmark=" + mark + "\n" + commonScript + s.text + "answer main \"$@\"\n"
}

// runScript returns what main prints. An answer that does not come from the
// script is an error, as a *scriptFailure is that main reports.
func runScript(ctx context.Context, conn Conn, s script) ([]byte, error) {
	mark, err := frame.NewMark(nil)
	if err != nil {
		return nil, err
	}
	cmd := Cmd{Argv: []string{"sh", "-s"}, Stdin: strings.NewReader(s.compose(mark))}
	if s.stdin != nil {
		cmd = Cmd{Argv: []string{"sh", "-c", s.compose(mark)}, Stdin: s.stdin}
	}
	begin, end := "["+mark+"]", "[/"+mark+"]"
	out, err := run(ctx, conn, cmd, s.limit+frame.Limit)
	if err != nil {
		return nil, failureOf(err, mark)
	}
	_, out, begun := bytes.Cut(out, []byte(begin))
	out, _, ended := bytes.Cut(out, []byte(end))
	if !begun || !ended {
		return nil, notRun()
	}
	return out, nil
}

// notRun is the error of a host that answered with success and had not run
// what it was asked to. The caller knows its name.
func notRun() error {
	return &NotStartedError{Argv: []string{"sh"}, Err: errors.New("it answered with success, and not what the script prints")}
}

// scriptFailure is what a script says of its end.
type scriptFailure struct {
	file  int   // the number of the file that is to blame
	cause error // says host, reason and what a tool said
}

func (f *scriptFailure) Error() string { return f.cause.Error() }
func (f *scriptFailure) Unwrap() error { return f.cause }

// reasons are the words of fail in the scripts that are more than a failed
// command.
var reasons = map[string]error{
	"missing":   fs.ErrNotExist,
	"denied":    fs.ErrPermission,
	"directory": fmt.Errorf("a directory is in its place: %w", syscall.EISDIR),
	"irregular": errors.New("not a regular file"),
	"short":     errors.New("not all of it could be written: is the disk full?"),
	"cut":       errCut,
	"unsafe":    errors.New("somebody else moves directories there: the file was not written"),
}

// failureOf reads why a script ended from its standard error.
func failureOf(err error, mark string) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	own := *exit
	before, rest, found := strings.Cut(own.Stderr, "["+mark+" ")
	words, after, closed := strings.Cut(rest, "]\n")
	if !found || !closed {
		return err
	}
	own.Stderr = before + after
	word, number, _ := strings.Cut(words, " ")
	file, err := strconv.Atoi(number)
	if err != nil || file < 0 {
		return &own
	}
	reason, known := reasons[word]
	if !known {
		return &scriptFailure{file, &own}
	}
	return &scriptFailure{file, &refusal{own, reason}}
}

// refusal is a script's end with a reason that errors.Is knows.
type refusal struct {
	exit   ExitError
	reason error
}

func (r *refusal) Error() string {
	s := r.exit.Host + ": " + r.reason.Error()
	if text := strings.TrimSpace(r.exit.Stderr); text != "" {
		s += ": " + text
	}
	return termsafe.Indented(s)
}

func (r *refusal) Unwrap() []error { return []error{&r.exit, r.reason} }

// scriptError is a *FileError for what a script reports of one of the paths.
func scriptError(op string, paths []string, err error) error {
	var failed *scriptFailure
	if errors.As(err, &failed) && failed.file < len(paths) {
		return fileError(op, paths[failed.file], failed.cause)
	}
	return fileError(op, only(paths), err)
}
