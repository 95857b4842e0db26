package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/transport"
)

// gathering holds a Gatherer to what Stat and Run return one by one.
func gathering(t *testing.T, h Harness) {
	conn := h.dial(t)
	g, f := conn.gatherer(), conn.filer()
	d := h.Dir + "/gather"
	mustRun(t, conn, "mkdir", "-p", d+"/dir")
	t.Cleanup(func() { mustRun(t, conn, "rm", "-rf", d) })
	odd := d + `/it's "$HOME" \n`
	check(t, f.Write(t.Context(),
		transport.File{Path: d + "/a", Mode: 0o640, Data: transport.Bytes([]byte("a\n"))},
		transport.File{Path: d + "/empty", Mode: 0o600},
		transport.File{Path: odd, Mode: 0o604, Data: transport.Bytes(noise(5000))},
	))
	all := []string{d + "/a", d + "/none", d + "/dir", odd, d + "/a/below", d + "/empty", d + "/a"}
	gather := func(t *testing.T, paths []string, queries ...transport.Query) transport.Gathered {
		t.Helper()
		got, err := g.Gather(t.Context(), paths, queries)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Answers) != len(queries) {
			t.Fatalf("%d answers to %d queries", len(got.Answers), len(queries))
		}
		return got
	}
	sh := func(script string, args ...string) []string {
		return append([]string{"sh", "-c", script, "sh"}, args...)
	}

	t.Run("files", func(t *testing.T) {
		for _, paths := range [][]string{all, all[:1], {d + "/none"}, {d + "/none", d + "/nothing"}, {d + "/dir"}, nil, {d + "/two\nlines", d + "/a"}} {
			if got, want := gather(t, paths).Files, stat(t, f, paths...); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%q: got %+v, want %+v", paths, got, want)
			}
		}
	})

	// Every query alone and all of them at once answer what Run does.
	queries := []transport.Query{
		{Argv: []string{"printf", "no newline"}},
		{Argv: sh(`printf 'exit 0\n'; exit 3`)},
		{Argv: sh(`printf '1\n.\n\n.\n'`)},
		{Argv: []string{"true"}},
		{Argv: []string{"false"}},
		{Argv: []string{"no-such-program-anywhere"}},
		{Argv: sh(`echo out; echo err >&2`)},
		{Argv: sh(`printf '%s|' "$@"`, "", "a b", `$(echo x)`, "`y`", `'"\`, "line\nline", "-n")},
		{Argv: sh(`printf 'a\000b'`)},
		{Argv: []string{"cat"}, Stdin: transport.Bytes([]byte("in"))},
		{Argv: []string{"cat"}, Stdin: transport.Bytes(noise(20_000))},
		{Argv: []string{"cat"}},
		{Argv: sh(`exec cat >/dev/null`)},
	}
	t.Run("queries", func(t *testing.T) {
		together := gather(t, all, queries...)
		if !reflect.DeepEqual(together.Files, stat(t, f, all...)) {
			t.Errorf("files: %+v", together.Files)
		}
		for i, q := range queries {
			want := run(t, conn, string(q.Stdin.Bytes()), q.Argv...)
			alone := gather(t, nil, q)
			for what, got := range map[string]transport.Answer{"alone": alone.Answers[0], "together": together.Answers[i]} {
				if got.OK != (want.err == nil) || got.OK && !bytes.Equal(got.Stdout, want.stdout.Bytes()) {
					t.Errorf("%q %s: got %v %.99q, want %v %.99q", q.Argv, what, got.OK, got.Stdout, want.err, want.stdout.Bytes())
				}
			}
		}
	})

	t.Run("needs", func(t *testing.T) {
		touch := func(name string) []string { return []string{"touch", d + "/" + name} }
		got := gather(t, nil,
			transport.Query{Argv: touch("with"), Needs: d + "/dir"},
			transport.Query{Argv: touch("without"), Needs: d + "/none"},
			transport.Query{Argv: []string{"cat"}, Stdin: transport.Bytes([]byte("x")), Needs: odd},
			transport.Query{Argv: []string{"cat"}, Stdin: transport.Bytes([]byte("x")), Needs: d + "/none"},
		)
		for i, want := range []bool{true, false, true, false} {
			if got.Answers[i].OK != want {
				t.Errorf("query %d: %+v", i, got.Answers[i])
			}
		}
		if infos := stat(t, f, d+"/with", d+"/without"); !infos[0].Exists || infos[1].Exists {
			t.Errorf("%+v", infos)
		}
	})

	t.Run("more than a command line", func(t *testing.T) {
		var paths []string
		var many []transport.Query
		for i := range 600 {
			paths = append(paths, fmt.Sprintf("%s/%s/%d", d, strings.Repeat("p", 100), i))
			if i%10 == 0 {
				many = append(many, transport.Query{Argv: sh("echo $#; # "+strings.Repeat("'", 2000), fmt.Sprint(i))})
			}
		}
		got := gather(t, append(paths, all...), many...)
		if !reflect.DeepEqual(got.Files[len(paths):], stat(t, f, all...)) {
			t.Errorf("files: %+v", got.Files[len(paths):])
		}
		for i, a := range got.Answers {
			if string(a.Stdout) != "1\n" {
				t.Errorf("query %d: %+v", i, a)
			}
		}
	})

	t.Run("nothing", func(t *testing.T) {
		if got := gather(t, nil); got.RoundTrips != 0 || got.Files != nil {
			t.Errorf("%+v", got)
		}
	})

	t.Run("not to be asked", func(t *testing.T) {
		if _, err := g.Gather(t.Context(), []string{"relative"}, nil); err == nil && gather(t, []string{"relative"}).Files != nil {
			t.Error("a relative path was described")
		}
		if _, err := g.Gather(t.Context(), nil, []transport.Query{{}}); err == nil {
			t.Error("a query without a program was taken")
		}
	})

	t.Run("cut off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := d + "/begun"
		type result struct {
			got transport.Gathered
			err error
		}
		done := make(chan result, 1)
		go func() {
			got, err := g.Gather(ctx, all, []transport.Query{{Argv: []string{"echo", "soon"}}, {Argv: sh(`>"$1"; exec sleep 300`, begun)}})
			done <- result{got, err}
		}()
		h.eventually(t, "the slow query starts", func() bool { return stat(t, f, begun)[0].Exists })
		cancel()
		r := await(t, h, "Gather returns", done)
		if !errors.Is(r.err, context.Canceled) {
			t.Errorf("got %v", r.err)
		}
		if r.got.Answers[1].OK {
			t.Errorf("%+v", r.got.Answers)
		}
	})
}
