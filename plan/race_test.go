//go:build race

package plan_test

// The race detector makes the sweep five times as long.
func init() { sweepStep, scaleSizes = 23, "3,30" }
