//go:build unix

package local

import (
	"context"
	"os"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/gather"
)

// Gather looks at files itself and runs each query.
func (c *conn) Gather(ctx context.Context, paths []string, queries []transport.Query) (transport.Gathered, error) {
	return gather.OneByOne(ctx, c, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}, paths, queries)
}
