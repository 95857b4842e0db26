//go:build race

package bubble

import (
	"runtime"
	"sync"
)

// The timers of a bubble are one thread to the race detector. Where two of them fire
// at once on two processors, which takes no more than a receive from an expired one
// while another goes off, it crashes: "CHECK failed: tsan_rtl.cpp" or a segmentation
// fault (https://go.dev/issue/78156, Go 1.26). On one processor they cannot, so that
// is all there is while any bubble is alive; what is a race stays one.
var (
	mu         sync.Mutex
	alive      int
	processors int
)

func begin() {
	mu.Lock()
	defer mu.Unlock()
	if alive++; alive == 1 {
		processors = runtime.GOMAXPROCS(1)
	}
}

func end() {
	mu.Lock()
	defer mu.Unlock()
	if alive--; alive == 0 {
		runtime.GOMAXPROCS(processors)
	}
}
