package faketransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
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
func (h *Host) interpret(ctx context.Context, in Invocation, env environment, script, zero string, params []string) error {
	file, err := parse(script, zero)
	if err != nil {
		fmt.Fprintf(in.Stderr, "sh: %v\n", err)
		return Exit(2)
	}
	p := &process{host: h, ctx: ctx}
	runner, err := interp.New(
		interp.Env(expand.ListEnviron("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root",
			fmt.Sprintf("%s=%04o", umaskVar, env.umask))),
		interp.StdIO(in.Stdin, in.Stdout, in.Stderr),
		interp.Params(params...),
		interp.CallHandler(p.onCall),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return p.onExec }),
		interp.OpenHandler(h.onOpen),
		interp.StatHandler(h.onStat),
		interp.AccessHandler(h.onAccess),
		interp.ReadDirHandler2(h.onReadDir),
	)
	if err != nil {
		return fmt.Errorf("faketransport: %w", err)
	}
	runner.Dir = env.dir
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, kill) })
	defer stop()
	err = runner.Run(alive, file)
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return Exit(int(status))
	}
	return err
}

// grace is what a script's traps have when its ctx has ended.
const grace = time.Second

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
	host       *Host
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
	h := p.host
	hc := interp.HandlerCtx(ctx)
	env := inherited(hc)
	in := Invocation{Host: h, Argv: args, Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr}
	if in.Stdin == nil {
		in.Stdin = strings.NewReader("")
	}
	var err error
	if h.handler(args) != nil {
		i := h.owner.begin(h.name, Op{Kind: Exec, Argv: args})
		err = h.exec(p.ctx, in, env)
		h.owner.end(i, err)
	} else {
		err = h.exec(p.ctx, in, env)
	}
	var exit *transport.ExitError
	if errors.As(err, &exit) && exit.Signal == "" {
		return interp.ExitStatus(exit.Code)
	}
	if err != nil && p.ctx.Err() != nil {
		return interp.ExitStatus(143)
	}
	return err
}

func inherited(hc interp.HandlerContext) environment {
	mask, _ := strconv.ParseUint(hc.Env.Get(umaskVar).String(), 8, 16)
	return environment{dir: hc.Dir, umask: fs.FileMode(mask).Perm()}
}

func (h *Host) onOpen(ctx context.Context, name string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	env := inherited(interp.HandlerCtx(ctx))
	p := env.abs(name)
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		r, err := h.fs.open(p)
		if err != nil {
			return nil, err
		}
		return readOnly{r}, nil
	}
	n, err := h.fs.create(p, perm&^env.umask, flag&os.O_EXCL != 0, flag&os.O_TRUNC != 0)
	if err != nil {
		return nil, err
	}
	return &handle{fs: h.fs, node: n, append: flag&os.O_APPEND != 0}, nil
}

// open reads a file as it is at this moment, or a device.
func (f *fileSystem) open(p string) (io.Reader, error) {
	if path.Clean(p) == "/dev/zero" {
		return zeros{}, nil
	}
	data, err := f.read(p)
	return strings.NewReader(string(data)), err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type readOnly struct{ io.Reader }

func (readOnly) Write([]byte) (int, error) { return 0, syscall.EBADF }
func (readOnly) Close() error              { return nil }

func (h *Host) onStat(ctx context.Context, name string, follow bool) (fs.FileInfo, error) {
	return h.fs.stat(inherited(interp.HandlerCtx(ctx)).abs(name), follow)
}

// onAccess lets root do everything.
func (h *Host) onAccess(_ context.Context, name string, _ interp.AccessMode) error {
	_, err := h.fs.stat(name, true)
	return err
}

func (h *Host) onReadDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return h.fs.readDir(inherited(interp.HandlerCtx(ctx)).abs(name))
}

func (f *fileSystem) stat(p string, follow bool) (nodeInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, n, err := f.lookup(p, follow)
	if err != nil {
		return nodeInfo{}, err
	}
	one := *n
	one.data = nil // may change meanwhile
	return nodeInfo{
		name: path.Base(at), node: one, size: int64(len(n.data)),
		owner: nameOf(f.users, n.uid), group: nameOf(f.groups, n.gid),
	}, nil
}

func (f *fileSystem) readDir(p string) ([]fs.DirEntry, error) {
	info, err := f.stat(p, true)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, pathError("readdir", p, syscall.ENOTDIR)
	}
	f.mu.Lock()
	at, err := f.resolve(p, true)
	names := f.children(at)
	f.mu.Unlock()
	var entries []fs.DirEntry
	for _, name := range names {
		if child, err := f.stat(path.Join(at, name), false); err == nil {
			entries = append(entries, fs.FileInfoToDirEntry(child))
		}
	}
	return entries, err
}

// nodeInfo is a node as fs.FileInfo.
type nodeInfo struct {
	node
	name, owner, group string
	size               int64
}

func (i nodeInfo) Name() string       { return i.name }
func (i nodeInfo) Size() int64        { return i.size }
func (i nodeInfo) Mode() fs.FileMode  { return i.mode }
func (i nodeInfo) ModTime() time.Time { return time.Time{} }
func (i nodeInfo) IsDir() bool        { return i.mode.IsDir() }
func (i nodeInfo) Sys() any           { return nil }
