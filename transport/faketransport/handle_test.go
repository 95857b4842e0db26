package faketransport_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// A handler answers once, or delegates to the one below it and to what is built in; a
// host lists its own commands.
func TestHandleOnceAndNext(t *testing.T) {
	hosts := faketransport.New()
	h := hosts.Host("a")
	hosts.Host("b")
	h.Handle(faketransport.Prefix("greet"), faketransport.Reply("hello\n"))
	h.HandleOnce(faketransport.Prefix("greet"), faketransport.Fail(3, "not yet"))
	h.HandleOnce(faketransport.Prefix("greet"), func(ctx context.Context, in faketransport.Invocation) error {
		if _, err := io.WriteString(in.Stdout, "then: "); err != nil {
			return err
		}
		return in.Next(ctx)
	})
	run := func(host string, argv ...string) (string, error) {
		conn, err := hosts.Dial(t.Context(), host)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		out, err := transport.Output(t.Context(), conn, argv...)
		return string(out), err
	}
	// The last one delegates to the one before it, which is used up by that too.
	_, err := run("a", "greet")
	var exit *transport.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.Code)
	for range 2 {
		out, err := run("a", "sh", "-c", "greet you")
		require.NoError(t, err)
		require.Equal(t, "hello\n", out)
	}

	h.Handle(faketransport.Prefix("cat"), func(ctx context.Context, in faketransport.Invocation) error {
		if strings.HasSuffix(in.Argv[1], ".secret") {
			return faketransport.Fail(1, "no")(ctx, in)
		}
		return in.Next(ctx)
	})
	require.NoError(t, h.Put(transport.File{Path: "/etc/motd", Data: transport.Bytes([]byte("welcome"))}))
	out, err := run("a", "cat", "/etc/motd")
	require.NoError(t, err)
	require.Equal(t, "welcome", out)
	_, err = run("a", "cat", "/x.secret")
	require.ErrorAs(t, err, &exit)
	_, err = run("b", "true")
	require.NoError(t, err)

	require.Equal(t, [][]string{{"greet"}, {"greet", "you"}, {"greet", "you"}}, h.Commands("greet"))
	require.Equal(t, [][]string{{"true"}}, hosts.Host("b").Commands())
	require.Len(t, h.Commands(), 7, "those of scripts and the shells that ran them")
}

// What a script left running writes nowhere after Run has returned: the caller has
// its buffer back.
func TestBackgroundOutputAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := faketransport.New()
		fake.Host("a").Handle(faketransport.Prefix("soon"), func(context.Context, faketransport.Invocation) error {
			time.Sleep(time.Millisecond)
			return nil
		})
		fake.Host("a").Handle(faketransport.Prefix("late"), func(ctx context.Context, in faketransport.Invocation) error {
			time.Sleep(time.Second)
			_, err := io.WriteString(in.Stdout, "late\n")
			return err
		})
		conn, err := fake.Dial(t.Context(), "a")
		require.NoError(t, err)
		var kept bytes.Buffer
		require.NoError(t, conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", "late & soon; echo first"}, Stdout: &kept}))
		time.Sleep(2 * time.Second)
		require.Equal(t, "first\n", kept.String())
		require.NoError(t, conn.Close())
	})
}
