package guard_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/guard"
)

// Whatever a function does to its goroutine, its caller goes on and knows.
func TestCall(t *testing.T) {
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"returns": {f: func() {}},
		"panics":  {f: func() { panic(errors.New("boom")) }, want: "boom"},
		"nil":     {f: func() { panic(nil) }, want: "panic called with nil argument"}, //nolint:govet // the case
		"Goexit":  {f: runtime.Goexit, want: "its goroutine was ended"},
		"panics while it ends": {f: func() {
			defer func() { panic("late") }()
			runtime.Goexit()
		}, want: "late"},
	} {
		t.Run(name, func(t *testing.T) {
			fault := guard.Call(c.f)
			if c.want == "" {
				require.Nil(t, fault)
				return
			}
			require.True(t, strings.HasPrefix(fault.Value, c.want), fault.Value)
			require.Contains(t, fault.Stack, "goroutine ")
		})
	}
}
