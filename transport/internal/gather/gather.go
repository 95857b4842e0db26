// Package gather serves connections that look at files and run commands at no
// cost for each: they need no script to do it in one round trip.
package gather

import (
	"bytes"
	"context"
	"errors"

	"github.com/quorate-dev/quorate/transport"
)

// Conn is what OneByOne needs of a connection.
type Conn interface {
	transport.Conn
	transport.Filer
}

// OneByOne is transport.Gatherer's Gather by a Stat and a Run for each query.
// exists reports whether there is something at a path that a query Needs.
func OneByOne(ctx context.Context, conn Conn, exists func(path string) bool, paths []string, queries []transport.Query) (transport.Gathered, error) {
	out := transport.Gathered{Answers: make([]transport.Answer, len(queries))}
	if len(paths)+len(queries) > 0 {
		out.RoundTrips = 1
	}
	if len(paths) > 0 {
		files, err := conn.Stat(ctx, paths...)
		if err != nil && !answered(err) {
			return out, err
		}
		out.Files = files
	}
	for i, q := range queries {
		if q.Needs != "" && !exists(q.Needs) {
			continue
		}
		var stdout bytes.Buffer
		err := conn.Run(ctx, transport.Cmd{Argv: q.Argv, Stdin: bytes.NewReader(q.Stdin.Bytes()), Stdout: &stdout})
		if err != nil && !answered(err) {
			return out, err
		}
		if err == nil {
			out.Answers[i] = transport.Answer{OK: true, Stdout: stdout.Bytes()}
		}
	}
	return out, nil
}

// answered reports whether an error is the host's answer, rather than a reason why
// there is none.
func answered(err error) bool {
	var failed *transport.FileError
	var exit *transport.ExitError
	return errors.As(err, &failed) || errors.As(err, &exit)
}
