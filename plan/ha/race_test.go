//go:build race

package ha_test

// The race detector makes the sweep five times as long.
func init() { sweepStep, scaleSizes = 23, "3,30" }
