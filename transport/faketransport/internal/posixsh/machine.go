// Package posixsh runs POSIX shell scripts and the common coreutils against a
// file system in memory. Nothing of the machine that it runs on is read, written
// or executed.
package posixsh

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport/internal/memfs"
)

// Machine is where commands run. Every field must be set. It is safe for
// concurrent use if the functions are.
type Machine struct {
	// Host is its name.
	Host string
	FS   *memfs.FS
	// Scripts may be shared with other machines.
	Scripts *Scripts
	Now     func() time.Time
	// Find returns the program behind a command, nil if there is none: then
	// it is the shell, one of the tools here, or a failure with status 127.
	Find func(Command) Program
	// Knows reports whether Find has a program of that name.
	Knows func(name string) bool
	// Path returns the directories in which commands are looked for.
	Path func() string
	// Unknown is what is printed for an unknown command.
	Unknown func(argv []string) string
}

// Command is a command with all that it inherits.
type Command struct {
	Argv []string
	// Stdin, Stdout and Stderr are never nil.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Dir            string
	Umask          fs.FileMode
	// FromScript reports that a shell script runs it.
	FromScript bool
}

func (c Command) abs(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return c.Dir + "/" + p
}

// Program carries out a command. nil is exit status 0, a *transport.ExitError
// another end of the command, and any other error is Exec's.
type Program func(ctx context.Context, c Command) error

func exit(code int) error { return &transport.ExitError{Code: code} }

// Exec carries out a command: what Find returns first, then the shell, then the
// tools.
func (m *Machine) Exec(ctx context.Context, in Command) error {
	if f := m.Find(in); f != nil {
		return f(ctx, in)
	}
	return m.Builtin(ctx, in)
}

// Builtin is Exec without Find.
func (m *Machine) Builtin(ctx context.Context, in Command) error {
	name := in.Argv[0]
	switch path.Dir(name) {
	case "/bin", "/sbin", "/usr/bin", "/usr/sbin":
		name = path.Base(name)
	}
	if name == "sh" || name == "bash" || name == "dash" {
		return m.sh(ctx, in)
	}
	if f, ok := tool(name); ok {
		return f(&call{Machine: m, Command: in, ctx: ctx, name: name})
	}
	if shellTools[name] {
		return m.interpret(ctx, in, `"$@"`, "", append([]string{"--"}, in.Argv...))
	}
	if _, err := fmt.Fprint(in.Stderr, m.Unknown(in.Argv)); err != nil {
		return err
	}
	return exit(127)
}

// HasProgram reports whether a script would find a program of that name.
func (m *Machine) HasProgram(name string) bool {
	_, ok := tool(name)
	return ok || m.Knows(name)
}

// shellTools are programs that the interpreter has built in.
var shellTools = map[string]bool{"printf": true, "echo": true, "test": true, "[": true, "true": true, "false": true, "kill": true}

// sh takes apart the command line of a shell: options, then -c SCRIPT, -s, or
// a file.
func (m *Machine) sh(ctx context.Context, in Command) error {
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
				return exit(2)
			}
		}
	}
	params = append(params, "--")
	switch {
	case inline && len(args) == 0:
		fmt.Fprintln(in.Stderr, "sh: -c requires an argument")
		return exit(2)
	case inline:
		zero := "sh"
		if len(args) > 1 {
			zero = args[1]
		}
		return m.interpret(ctx, in, args[0], zero, append(params, args[min(2, len(args)):]...))
	case fromStdin || len(args) == 0:
		script, err := readAll(ctx, in.Stdin)
		if err != nil {
			return err
		}
		return m.interpret(ctx, in, string(script), "sh", append(params, args...))
	}
	script, err := m.FS.ReadFile(path.Join("/", in.abs(args[0])))
	if err != nil {
		fmt.Fprintf(in.Stderr, "sh: %v\n", err)
		return exit(127)
	}
	return m.interpret(ctx, in, string(script), args[0], append(params, args[1:]...))
}
