package posixsh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/quorate-dev/quorate/transport"
)

// umaskVar carries the umask, which the interpreter has not, with the right
// scope: a subshell's is its own.
const umaskVar = "FAKETRANSPORT_UMASK"

// interpret runs a script against the host in memory. All doors of the
// interpreter to the real machine are handlers here.
func (m *Machine) interpret(ctx context.Context, in Command, script, zero string, params []string) error {
	file, err := m.Scripts.parse(script, zero)
	if err != nil {
		fmt.Fprintf(in.Stderr, "sh: %v\n", err)
		return exit(2)
	}
	p := &process{machine: m, ctx: ctx}
	runner, err := interp.New(
		interp.Env(expand.ListEnviron("PATH="+m.Path(), "HOME=/root", "USER=root",
			fmt.Sprintf("%s=%04o", umaskVar, in.Umask))),
		interp.StdIO(in.Stdin, in.Stdout, in.Stderr),
		interp.Params(params...),
		interp.CallHandler(p.onCall),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return p.onExec }),
		interp.OpenHandler(m.onOpen),
		interp.StatHandler(m.onStat),
		interp.AccessHandler(m.onAccess),
		interp.ReadDirHandler2(m.onReadDir),
	)
	if err != nil {
		return fmt.Errorf("faketransport: %w", err)
	}
	runner.Dir = in.Dir
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, kill) })
	defer stop()
	err = runner.Run(alive, file)
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return exit(int(status))
	}
	return err
}

// grace is what a script's traps have when its ctx has ended.
const grace = time.Second

// Scripts holds what machines have parsed: hosts of one transport are sent the same
// scripts again and again, and parsing takes a sixth of a short script's time. The
// zero value is ready for use, and safe for concurrent use.
type Scripts struct {
	mu     sync.Mutex
	parsed map[script]*syntax.File
}

type script struct{ text, name string }

// remembered bounds how many scripts are held, and the length of each.
const remembered, longestRemembered = 256, 64 << 10

func (s *Scripts) parse(text, name string) (*syntax.File, error) {
	key := script{text, name}
	s.mu.Lock()
	file := s.parsed[key]
	s.mu.Unlock()
	if file != nil {
		return file, nil
	}
	file, err := parse(text, name)
	if err != nil || len(text) > longestRemembered {
		return file, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parsed == nil || len(s.parsed) >= remembered {
		s.parsed = map[script]*syntax.File{}
	}
	s.parsed[key] = file
	return file, nil
}

// parse refuses what is not POSIX. The interpreter runs the same text as Bash
// only because it takes export for a Bash word.
func parse(script, name string) (*syntax.File, error) {
	if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), name); err != nil {
		return nil, err
	}
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), name)
}

// process is a running script. When ctx ends it gets what a host's gets, a
// SIGTERM: it exits, and its EXIT trap still runs.
type process struct {
	machine    *Machine
	ctx        context.Context //nolint:containedctx // lives as long as the script
	terminated atomic.Bool
}

// onCall turns builtins that the interpreter lacks, or that look at the real
// machine, into something it can do.
func (p *process) onCall(_ context.Context, args []string) ([]string, error) {
	if p.ctx.Err() != nil && !p.terminated.Swap(true) {
		return []string{"exit", "143"}, nil
	}
	switch {
	case args[0] == "umask" && len(args) == 2:
		mask, err := strconv.ParseUint(args[1], 8, 16)
		if err != nil {
			return []string{"false"}, nil //nolint:nilerr // the command fails, the interpreter does not
		}
		return []string{"eval", fmt.Sprintf("%s=%04o", umaskVar, mask&0o777)}, nil
	case args[0] == "printf" && len(args) == 3 && args[1] == "%b":
		return []string{"printf", "%s", unescape(args[2])}, nil
	case args[0] == "cd" && len(args) == 3 && args[1] == "-P":
		return []string{"cd", args[2]}, nil // there are no links to directories
	case args[0] == "kill":
		return nil, signalled(args)
	case args[0] == "trap" && len(args) > 2 && args[len(args)-1] != "EXIT":
		return []string{"true"}, nil // no signal is ever delivered to a script
	case args[0] == "command" && len(args) == 3 && args[1] == "-v":
		return []string{lookUp, args[2]}, nil
	case args[0] == "type" || args[0] == "hash":
		return append([]string{lookUp}, args[1:]...), nil
	}
	return args, nil
}

// unescape is what printf's %b makes of a word. The interpreter's own reads
// \0ooo as \0oo and a digit.
func unescape(word string) string {
	var b strings.Builder
	for word != "" {
		before, after, found := strings.Cut(word, `\`)
		b.WriteString(before)
		if !found {
			break
		}
		word = after
		if digits, ok := strings.CutPrefix(word, "0"); ok {
			n := 0
			for n < 3 && n < len(digits) && '0' <= digits[n] && digits[n] <= '7' {
				n++
			}
			value, _ := strconv.ParseUint("0"+digits[:n], 8, 16)
			b.WriteByte(byte(value))
			word = digits[n:]
			continue
		}
		if i := strings.IndexByte(`abfnrtv\`, (word + " ")[0]); i >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v\\"[i])
			word = word[1:]
			continue
		}
		b.WriteByte('\\')
	}
	return b.String()
}

// lookUp is the tool that answers command -v.
const lookUp = "faketransport-look-up"

// signalled ends a script by the signal it sends to itself; other processes
// there are none.
func signalled(args []string) error {
	if len(args) == 3 && strings.HasPrefix(args[1], "-") && args[2] == strconv.Itoa(os.Getpid()) {
		return &transport.ExitError{Code: -1, Signal: strings.TrimPrefix(args[1][1:], "SIG")}
	}
	return errors.New("faketransport: kill knows only $$")
}

func (p *process) onExec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	in := inherited(hc)
	in.Argv, in.Stdin, in.Stdout, in.Stderr, in.FromScript = args, hc.Stdin, hc.Stdout, hc.Stderr, true
	if in.Stdin == nil {
		in.Stdin = strings.NewReader("")
	}
	err := p.machine.Exec(p.ctx, in)
	var exit *transport.ExitError
	if errors.As(err, &exit) && exit.Signal == "" {
		return interp.ExitStatus(exit.Code)
	}
	if err != nil && p.ctx.Err() != nil {
		return interp.ExitStatus(143)
	}
	return err
}

// inherited is what a process has from the script that starts it.
func inherited(hc interp.HandlerContext) Command {
	mask, _ := strconv.ParseUint(hc.Env.Get(umaskVar).String(), 8, 16)
	return Command{Dir: hc.Dir, Umask: fs.FileMode(mask).Perm()}
}

func (m *Machine) onOpen(ctx context.Context, name string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	env := inherited(interp.HandlerCtx(ctx))
	p := env.abs(name)
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		r, err := m.FS.Open(p)
		if err != nil {
			return nil, err
		}
		return readOnly{r}, nil
	}
	h, err := m.FS.Create(p, perm&^env.Umask, flag&os.O_EXCL != 0, flag&os.O_TRUNC != 0)
	if err != nil {
		return nil, err
	}
	h.Append = flag&os.O_APPEND != 0
	return h, nil
}

type readOnly struct{ io.Reader }

func (readOnly) Write([]byte) (int, error) { return 0, syscall.EBADF }
func (readOnly) Close() error              { return nil }

func (m *Machine) onStat(ctx context.Context, name string, follow bool) (fs.FileInfo, error) {
	return m.FS.Stat(inherited(interp.HandlerCtx(ctx)).abs(name), follow)
}

// onAccess lets root do everything.
func (m *Machine) onAccess(_ context.Context, name string, _ interp.AccessMode) error {
	_, err := m.FS.Stat(name, true)
	return err
}

func (m *Machine) onReadDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return m.FS.ReadDir(inherited(interp.HandlerCtx(ctx)).abs(name))
}
