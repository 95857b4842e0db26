package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/transport"
)

func FuzzRunsIn(f *testing.F) {
	for _, s := range []string{
		"1 (init) S 0 1 1 0", "7 (a) Z 1 7 7", "7 (evil) S 1 7) Z 1 7 7", "7 (x", ")", "7 (\x1b) R 1 7", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stat []byte) {
		if runsIn(stat, 7) && !strings.Contains(string(stat), "7") {
			t.Errorf("%q runs in group 7", stat)
		}
		if runsIn(append([]byte("1 ("), append(stat, ") Z 1 7 7"...)...), 7) {
			t.Errorf("a zombie named %q runs", stat)
		}
	})
}

// What a command leaves in its process group when it is cancelled ends with it, also
// where only the command itself obeys SIGTERM.
func TestCancelledGroupIsGone(t *testing.T) {
	c, err := (&Transport{Grace: 500 * time.Millisecond}).Dial(t.Context(), "here")
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := c.Run(ctx, transport.Cmd{Argv: []string{"sh", "-c", `sh -c "trap '' TERM; echo \$\$; while :; do sleep 1; done" & wait`}, Stdout: in})
		_ = in.Close()
		ended <- err
	}()
	var child int
	_, err = fmt.Fscan(out, &child)
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	cancel()
	err = <-ended
	require.ErrorIs(t, err, context.Canceled)
	var running *transport.StillRunningError
	require.NotErrorAs(t, err, &running)
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(child), "stat"))
	if err == nil {
		require.Contains(t, string(stat), ") Z ", "the child runs on")
	}
}

// Where ending it does not work, the error says that it may run, and as which group.
func TestCancelledGroupThatCannotBeEnded(t *testing.T) {
	c, err := (&Transport{Grace: 50 * time.Millisecond}).Dial(t.Context(), "here")
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, transport.Cmd{
			Argv: []string{"sh", "-c", "echo started; exec sleep 1000"}, Stdout: in,
			Kill: func(string, int) transport.Cmd {
				return transport.Cmd{Argv: []string{"sh", "-c", "echo not allowed >&2; exit 1"}}
			},
		})
	}()
	_, err = fmt.Fscanln(out, new(string))
	require.NoError(t, err)
	cancel()
	err = <-ended
	var running *transport.StillRunningError
	require.ErrorAs(t, err, &running)
	require.True(t, errors.Is(err, context.Canceled))
	require.ErrorContains(t, err, "not allowed")
	require.Contains(t, running.Advice(), strconv.Itoa(running.Group))
	command := running.Advice()[strings.LastIndex(running.Advice(), "kill"):]
	require.NoError(t, exec.Command("sh", "-c", command).Run(), command) //nolint:noctx // at once
}
