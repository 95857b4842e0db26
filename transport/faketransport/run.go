package faketransport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/stream"
)

// Run implements transport.Conn.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if len(cmd.Argv) == 0 {
		return fmt.Errorf("%s: a command without a program", c.host.name)
	}
	return c.do(ctx, Op{Kind: Run, Argv: cmd.Argv}, func(ctx context.Context, _ Op) error {
		return c.host.run(ctx, cmd)
	})
}

// run gives the command its streams and makes its end an ExitError.
func (h *Host) run(ctx context.Context, cmd transport.Cmd) error {
	stdin, feed, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	defer func() { _ = stdin.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = stdin.Close() })
	defer stop()
	input := stream.StartPump(feed, cmd.Stdin)
	tail := stream.NewTail(transport.StderrLimit)
	err = h.exec(ctx, Invocation{
		Host: h, Argv: cmd.Argv, Stdin: stdin,
		Stdout: stream.NewGate(cmd.Stdout), Stderr: teeTail{stream.NewGate(cmd.Stderr), tail},
	}, environment{dir: "/", umask: 0o022})
	var exit *transport.ExitError
	if errors.As(err, &exit) {
		return &transport.ExitError{Host: h.name, Argv: cmd.Argv, Code: exit.Code, Signal: exit.Signal, Stderr: tail.String()}
	}
	if err == nil && input.Err() != nil {
		return fmt.Errorf("%s: standard input: %w", h.name, input.Err())
	}
	return h.named(Op{Argv: cmd.Argv}, err)
}

// exec carries out a command, for Run and for scripts: what is scripted first,
// then the shell, then the built-in tools.
func (h *Host) exec(ctx context.Context, in Invocation, env environment) error {
	if f := h.handler(in.Argv); f != nil {
		return f(ctx, in)
	}
	name := in.Argv[0]
	switch path.Dir(name) {
	case "/bin", "/sbin", "/usr/bin", "/usr/sbin":
		name = path.Base(name)
	}
	if name == "sh" || name == "bash" || name == "dash" {
		return h.sh(ctx, in, env)
	}
	if f, ok := tool(name); ok {
		return f(&call{Invocation: in, environment: env, ctx: ctx, name: name})
	}
	if shellTools[name] {
		return h.interpret(ctx, in, env, `"$@"`, "", append([]string{"--"}, in.Argv...))
	}
	if _, err := fmt.Fprint(in.Stderr, h.unscripted(in.Argv)); err != nil {
		return err
	}
	return Exit(127)
}

// shellTools are programs that the interpreter has built in.
var shellTools = map[string]bool{"printf": true, "echo": true, "test": true, "[": true, "true": true, "false": true, "kill": true}

// sh takes apart the command line of a shell: options, then -c SCRIPT, -s, or
// a file.
func (h *Host) sh(ctx context.Context, in Invocation, env environment) error {
	args := in.Argv[1:]
	var params []string
	var inline, fromStdin bool
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			break
		}
		for _, letter := range flag[1:] {
			switch letter {
			case 'c':
				inline = true
			case 's':
				fromStdin = true
			case 'e', 'u', 'x':
				params = append(params, "-"+string(letter))
			default:
				fmt.Fprintf(in.Stderr, "faketransport: sh has no option -%c\n", letter)
				return Exit(2)
			}
		}
	}
	params = append(params, "--")
	switch {
	case inline && len(args) == 0:
		fmt.Fprintln(in.Stderr, "sh: -c requires an argument")
		return Exit(2)
	case inline:
		zero := "sh"
		if len(args) > 1 {
			zero = args[1]
		}
		return h.interpret(ctx, in, env, args[0], zero, append(params, args[min(2, len(args)):]...))
	case fromStdin || len(args) == 0:
		script, err := readAll(ctx, in.Stdin)
		if err != nil {
			return err
		}
		return h.interpret(ctx, in, env, string(script), "sh", append(params, args...))
	}
	script, err := h.fs.read(path.Join("/", env.abs(args[0])))
	if err != nil {
		fmt.Fprintf(in.Stderr, "sh: %v\n", err)
		return Exit(127)
	}
	return h.interpret(ctx, in, env, string(script), args[0], append(params, args[1:]...))
}

// environment is what a process inherits here.
type environment struct {
	dir   string
	umask os.FileMode
}

func (e environment) abs(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return e.dir + "/" + p
}

type teeTail struct {
	to   *stream.Gate
	tail *stream.Tail
}

func (t teeTail) Write(p []byte) (int, error) {
	_, _ = t.tail.Write(p)
	return t.to.Write(p)
}
