package main

import (
	"testing"

	"github.com/quorate-dev/quorate"
)

// With minors that were not read, a lifetime takes in all that may have the
// name.
func TestWidestLifetime(t *testing.T) {
	every, some := []int{10, 11, 12, 13}, []int{10, 13, 17, 20}
	tests := []struct {
		sampled             []int
		seenFirst, seenLast int
		wantFirst, wantLast int
	}{
		{every, 10, 13, 10, 0},
		{every, 11, 12, 11, 12},
		{every, 13, 13, 13, 0},
		{some, 10, 10, 10, 12},
		{some, 13, 17, 11, 19},
		{some, 17, 17, 14, 19},
		{some, 20, 20, 18, 0},
	}
	for _, test := range tests {
		if first, last := widestLifetime(test.sampled, test.seenFirst, test.seenLast); first != test.wantFirst || last != test.wantLast {
			t.Errorf("%+v: %d to %d", test, first, last)
		}
	}
}

// The tables were made from a release of every minor that is supported, up to
// the newest. Where this fails, add the new minor's release and run go generate
// in package kubeadm.
func TestSamplesReachTheNewestMinor(t *testing.T) {
	minors := sampledMinors()
	if first, last := minors[0], minors[len(minors)-1]; first != quorate.MinMinor || last != quorate.MaxMinor {
		t.Errorf("quorate.MaxMinor is 1.%d, and this covers 1.%[3]d to 1.%[2]d: internal/tablegen/main.go, samples", quorate.MaxMinor, last, first)
	}
}
