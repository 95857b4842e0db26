//go:build race

package tier

// Race says that the race detector is on.
const Race = true
