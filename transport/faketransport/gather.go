package faketransport

import (
	"bytes"
	"context"
	"errors"

	"github.com/quorate-dev/quorate/transport"
)

// Gather implements transport.Gatherer. Hooks and the record see it, and within
// it what it is made of: a Stat, and a Run for each query. So what is injected
// for a command hits it also where it is one of many in a round trip.
func (c *conn) Gather(ctx context.Context, paths []string, queries []transport.Query) (transport.Gathered, error) {
	out := transport.Gathered{Answers: make([]transport.Answer, len(queries))}
	if len(paths)+len(queries) > 0 {
		out.RoundTrips = 1
	}
	err := c.do(ctx, Op{Kind: Gather}, func(ctx context.Context, _ Op) error {
		if len(paths) > 0 {
			files, err := c.Stat(ctx, paths...)
			var failed *transport.FileError
			var exit *transport.ExitError
			if err != nil && !errors.As(err, &failed) && !errors.As(err, &exit) {
				return err
			}
			out.Files = files
		}
		for i, q := range queries {
			if _, err := c.host.fs.stat(q.Needs, true); q.Needs != "" && err != nil {
				continue
			}
			var stdout bytes.Buffer
			err := c.Run(ctx, transport.Cmd{Argv: q.Argv, Stdin: bytes.NewReader(q.Stdin.Bytes()), Stdout: &stdout})
			var exit *transport.ExitError
			if err != nil && !errors.As(err, &exit) {
				return err
			}
			if err == nil {
				out.Answers[i] = transport.Answer{OK: true, Stdout: stdout.Bytes()}
			}
		}
		return nil
	})
	return out, err
}
