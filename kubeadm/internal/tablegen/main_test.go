package main

import "testing"

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
