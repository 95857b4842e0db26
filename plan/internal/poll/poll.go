// Package poll waits between two looks at something, as long as a context lets it.
package poll

import (
	"context"
	"time"
)

// Wait waits, and reports whether ctx let it.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
