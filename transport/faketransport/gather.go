package faketransport

import (
	"context"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/gather"
)

// Gather implements transport.Gatherer. Hooks and the record see it, and within
// it what it is made of: a Stat, and a Run for each query. So what is injected
// for a command hits it also where it is one of many in a round trip.
func (c *conn) Gather(ctx context.Context, paths []string, queries []transport.Query) (transport.Gathered, error) {
	// Also of a call that a hook keeps from being carried out.
	out := transport.Gathered{Answers: make([]transport.Answer, len(queries)), RoundTrips: min(len(paths)+len(queries), 1)}
	err := c.do(ctx, Op{Kind: Gather}, func(ctx context.Context, _ Op) (err error) {
		out, err = gather.OneByOne(ctx, c, func(path string) bool {
			_, err := c.host.fs().Stat(path, true)
			return err == nil
		}, paths, queries)
		return err
	})
	return out, err
}
