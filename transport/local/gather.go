//go:build unix

package local

import (
	"bytes"
	"context"
	"errors"
	"os"

	"github.com/quorate-dev/quorate/transport"
)

// Gather looks at files itself and runs each query.
func (c *conn) Gather(ctx context.Context, paths []string, queries []transport.Query) (transport.Gathered, error) {
	out := transport.Gathered{Answers: make([]transport.Answer, len(queries))}
	if len(paths)+len(queries) > 0 {
		out.RoundTrips = 1
	}
	if len(paths) > 0 {
		files, err := c.Stat(ctx, paths...)
		var failed *transport.FileError
		if err != nil && !errors.As(err, &failed) {
			return out, err
		}
		out.Files = files
	}
	for i, q := range queries {
		if q.Needs != "" {
			if _, err := os.Stat(q.Needs); err != nil {
				continue
			}
		}
		var stdout bytes.Buffer
		err := c.Run(ctx, transport.Cmd{Argv: q.Argv, Stdin: bytes.NewReader(q.Stdin.Bytes()), Stdout: &stdout})
		var exit *transport.ExitError
		if err != nil && !errors.As(err, &exit) {
			return out, err
		}
		if err == nil {
			out.Answers[i] = transport.Answer{OK: true, Stdout: stdout.Bytes()}
		}
	}
	return out, nil
}
