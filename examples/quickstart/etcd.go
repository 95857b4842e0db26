package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// beEtcd in the environment makes this program be etcd.
const beEtcd = "QUORATE_QUICKSTART_ETCD"

// runEtcd is etcd's own main with the arguments of this process: its own parser
// reads the flags that the unit holds.
func runEtcd() {
	etcdmain.Main(os.Args)
	os.Exit(0)
}

// servers are real etcd processes. They and their files, below one temporary
// directory that only its owner can enter, do not outlive this process.
type servers struct {
	dir     string
	crashed func(error) // called with a *crashError

	mu      sync.Mutex
	started []*server
}

// server is one process.
type server struct {
	host string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	// unwanted is set before we end it.
	unwanted atomic.Bool
}

// crashError is a member that ended by itself. systemd would start it again;
// here it ends the demonstration.
type crashError struct{ host, lastWords string }

func (e *crashError) Error() string {
	return "etcd of " + e.host + " ended by itself, its last words:\n  " + e.lastWords
}

var _ hatest.Member = (*server)(nil)

func newServers(crashed func(error)) (*servers, error) {
	dir, err := os.MkdirTemp("", "quorate-quickstart-") // 0700
	return &servers{dir: dir, crashed: crashed}, err
}

// start does what systemd would do with the unit on a host, but for
// the paths: the host's root directory is below the temporary directory here.
func (s *servers) start(ctx context.Context, h *faketransport.Host) (hatest.Member, error) {
	argv, err := execStart(h)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", h.Name(), etcd.UnitPath, err)
	}
	root := filepath.Join(s.dir, h.Name())
	if err := materialise(h, root, argv[1:]); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &server{host: h.Name(), log: filepath.Join(root, "etcd.log"), done: make(chan struct{})}
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	m.cmd = exec.CommandContext(ctx, self, argv[1:]...)
	m.cmd.Args[0] = argv[0]
	m.cmd.Env = []string{beEtcd + "=1"}
	m.cmd.Dir = root
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = dieWithParent()
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = m.cmd.Wait() // how it ended is in its log
		if !m.unwanted.Load() && ctx.Err() == nil {
			s.crashed(&crashError{m.host, m.lastWords()})
		}
		close(m.done)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, m)
	return m, nil
}

// execStart reads the command line from the unit on a host.
func execStart(h *faketransport.Host) ([]string, error) {
	file, err := h.File(etcd.UnitPath)
	if err != nil {
		return nil, err
	}
	options, err := unit.DeserializeOptions(bytes.NewReader(file.Data.Bytes()))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(options, func(o *unit.UnitOption) bool { return o.Section == "Service" && o.Name == "ExecStart" })
	if i < 0 {
		return nil, errors.New("no ExecStart")
	}
	line := strings.ReplaceAll(options[i].Value, "\\\n", " ")
	if strings.ContainsAny(line, `"'\%$`) {
		return nil, errors.New("ExecStart holds quotes or specifiers, which only systemd itself reads")
	}
	argv := strings.Fields(line)
	if len(argv) == 0 {
		return nil, errors.New("ExecStart is empty")
	}
	return argv, nil
}

// materialise writes the host's files that flags name below root, and makes the
// flags name them there.
func materialise(h *faketransport.Host, root string, flags []string) error {
	for i, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		if !filepath.IsAbs(value) {
			continue
		}
		path := filepath.Join(root, value)
		flags[i] = name + "=" + path
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		file, err := h.File(value)
		if errors.Is(err, fs.ErrNotExist) || name == "--data-dir" {
			continue // etcd makes it
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, file.Data.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Running reports whether the process has not ended.
func (m *server) Running() bool {
	select {
	case <-m.done:
		return false
	default:
		return true
	}
}

// Stop asks the process to end, and ends it after ten seconds.
func (m *server) Stop() error {
	m.unwanted.Store(true)
	if err := m.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	select {
	case <-m.done:
		return nil
	case <-patience.C:
		return m.kill()
	}
}

func (m *server) kill() error {
	m.unwanted.Store(true)
	err := m.cmd.Process.Kill()
	<-m.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Close ends every process, by its own ID, and removes the files.
func (s *servers) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, m := range s.started {
		errs = append(errs, m.kill())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// running are the processes that have not ended, in the order of their hosts.
func (s *servers) running() []*server {
	s.mu.Lock()
	defer s.mu.Unlock()
	alive := slices.DeleteFunc(slices.Clone(s.started), func(m *server) bool { return !m.Running() })
	slices.SortFunc(alive, func(a, b *server) int { return strings.Compare(a.host, b.host) })
	return alive
}

// lastWords are the last lines of the log, without what only programs read.
func (m *server) lastWords() string {
	log, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	var words []string
	for line := range strings.Lines(string(log)) {
		var entry struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &entry) == nil {
			line = strings.TrimSuffix(entry.Level+": "+entry.Msg+": "+entry.Error, ": ")
		}
		words = append(words, strings.TrimSpace(line))
	}
	if len(words) == 0 {
		return "(none)"
	}
	return strings.Join(words[max(0, len(words)-3):], "\n  ")
}
