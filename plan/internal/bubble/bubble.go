// Package bubble runs tests on a clock of their own, as testing/synctest does, also
// where the race detector looks on.
package bubble

import (
	"testing"
	"testing/synctest"
)

// Test is synctest.Test.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	begin()
	defer end()
	synctest.Test(t, f)
}
