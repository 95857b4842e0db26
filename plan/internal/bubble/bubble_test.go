package bubble_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/plan/internal/bubble"
)

// Timers that expire while others are received from are what crashes the race
// detector, with synctest.Test in place of bubble.Test within the first second.
func TestTimersThatFireAtOnce(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for range 20 {
		bubble.Test(t, func(*testing.T) {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					for range 100 {
						expired := time.NewTimer(time.Millisecond)
						time.Sleep(2 * time.Millisecond)
						<-expired.C
					}
				})
			}
			all.Wait()
		})
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("%d processors before, %d after", before, after)
	}
}
