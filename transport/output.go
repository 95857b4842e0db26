package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// OutputLimit is the most that Output takes, in bytes.
const OutputLimit = 1 << 20

// ErrTooLarge reports that a file or an output is larger than the limit that
// was set for it. Errors wrap it.
var ErrTooLarge = errors.New("larger than the limit")

// ValidateArgv refuses an argument vector that no host can be handed: one without
// a program, or with a NUL in a word. Every Conn of this module does so.
func ValidateArgv(argv []string) error {
	if len(argv) == 0 {
		return errors.New("a command without a program")
	}
	for i, word := range argv {
		if strings.ContainsRune(word, 0) {
			return fmt.Errorf("argument %d of %q holds a NUL byte", i, argv[0])
		}
	}
	return nil
}

// Output runs argv without input and returns its standard output. More than
// OutputLimit bytes end the command with an error that wraps ErrTooLarge;
// other errors are those of Conn.Run, together with the output until then.
func Output(ctx context.Context, conn Conn, argv ...string) ([]byte, error) {
	return run(ctx, conn, Cmd{Argv: argv}, OutputLimit)
}

// run is Conn.Run with its output collected.
func run(ctx context.Context, conn Conn, c Cmd, limit int64) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &bounded{limit: limit, full: cancel}
	c.Stdout = out
	err := conn.Run(ctx, c)
	if out.over {
		return nil, fmt.Errorf("%s: output over %d bytes: %w", shortArgv(c.Argv), limit, ErrTooLarge)
	}
	return out.bytes, err
}

// bounded collects up to limit bytes, then calls full and fails.
type bounded struct {
	limit int64
	full  func()
	bytes []byte
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(b.bytes)+len(p)) > b.limit {
		b.over = true
		b.full()
		return 0, io.ErrShortWrite
	}
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}
