// Package sudo runs the commands of another transport as another user of the
// hosts, by the sudo that is installed there.
package sudo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/quorate-dev/quorate/transport"
)

// Config says as whom and how commands run.
type Config struct {
	// User to become; empty means root.
	User string
	// Password returns the password of the user who calls sudo on a host. It is
	// called at most once a host, when sudo first asks. nil means that sudo
	// must not ask (sudo -n). A secret is wrapped by transport.Bytes so that
	// nothing formats it.
	Password func(ctx context.Context, host string) (transport.Data, error)
	// Rand makes the prompt unguessable; nil means crypto/rand.
	Rand io.Reader
}

// Error reports that sudo itself refused, and the command never ran.
type Error struct {
	Host   string
	Reason Reason
	Err    error
}

// Reason is the kind of an Error.
type Reason string

// The reasons of an Error.
const (
	PasswordNeeded Reason = "a password is needed"
	WrongPassword  Reason = "the password is wrong"
	NotAllowed     Reason = "not allowed"
	Missing        Reason = "not installed"
	Failed         Reason = "failed"
)

func (e *Error) Error() string {
	s := e.Host + ": sudo: " + string(e.Reason)
	if advice := e.Advice(); advice != "" {
		s += "; " + advice
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Advice says what to do about it, empty if nothing general can be said.
func (e *Error) Advice() string {
	switch e.Reason {
	case PasswordNeeded:
		return "set sudo.Config.Password, or NOPASSWD in the host's sudoers"
	case NotAllowed:
		return "the host's sudoers has no rule for this user and command"
	}
	return ""
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Transport runs every command of another transport through sudo, which must
// be installed on the hosts. Tunnels do not go through it; files go through
// commands, so transport.FilesOf returns the shell's Filer with the other
// user's rights.
//
// The password never is in argv, and reaches the command's standard input in
// no case: the command is started only after sudo has said, with a mark that
// cannot be guessed, that it needs no password any more. A wrong password is
// tried once on a host and never again.
//
// It is safe for concurrent use; make it with New.
type Transport struct {
	to  transport.Transport
	cfg Config

	mu    sync.Mutex
	hosts map[string]*hostState
}

// New runs the commands of t through sudo.
func New(t transport.Transport, cfg Config) *Transport {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	return &Transport{to: t, cfg: cfg, hosts: map[string]*hostState{}}
}

// hostState is what is known about a host's password; turn admits one caller.
type hostState struct {
	turn     chan struct{}
	password *transport.Data
	right    bool // it has worked
	wrong    bool // it was refused
}

// Dial is that of the transport below.
func (s *Transport) Dial(ctx context.Context, host string) (transport.Conn, error) {
	through, err := s.to.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	known, ok := s.hosts[host]
	if !ok {
		known = &hostState{turn: make(chan struct{}, 1)}
		s.hosts[host] = known
	}
	s.mu.Unlock()
	c := &conn{conn: through, host: host, cfg: s.cfg, known: known}
	if d, ok := through.(transport.Dialer); ok {
		return dialerConn{c, d}, nil
	}
	return c, nil
}

type conn struct {
	conn  transport.Conn
	host  string
	cfg   Config
	known *hostState
}

// dialerConn is a conn over a transport.Conn that makes tunnels.
type dialerConn struct {
	*conn
	dialer transport.Dialer
}

func (s dialerConn) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.dialer.DialContext(ctx, network, addr)
}

func (c *conn) Close() error { return c.conn.Close() }

// started is what the command's own shell writes to standard error once sudo
// has let it in; what comes after belongs to the command. The mark alone is in
// argv, which sudo repeats in its refusals.
const started = `printf '[%s started]' "$0" >&2; exec "$@"`

// Run runs the command once sudo has let it in.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if len(cmd.Argv) == 0 {
		return c.conn.Run(ctx, cmd)
	}
	mark, err := c.mark()
	if err != nil {
		return err
	}
	prompt, begun := "["+mark+" password]", "["+mark+" started]"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gate := &gate{
		prompt: prompt, begun: begun, stderr: cmd.Stderr, tail: boundedTail{limit: transport.StderrLimit},
		asked: make(chan struct{}), again: make(chan struct{}), in: make(chan struct{}),
	}
	input := &input{ctx: ctx, conn: c, gate: gate, stdin: cmd.Stdin}
	outer := cmd
	outer.Argv = c.argv(prompt, mark, cmd.Argv)
	outer.Stdin, outer.Stderr = input, gate
	err = c.conn.Run(ctx, outer)
	err = c.result(cmd, gate, input, err)
	var refused *Error
	input.end(gate.began(), errors.As(err, &refused) && refused.Reason == WrongPassword)
	return err
}

func (c *conn) argv(prompt, mark string, argv []string) []string {
	out := []string{"sudo"}
	if c.cfg.Password == nil {
		out = append(out, "-n")
	} else {
		out = append(out, "-S", "-p", prompt)
	}
	if c.cfg.User != "" {
		out = append(out, "-u", c.cfg.User)
	}
	return append(append(out, "--", "sh", "-c", started, mark), argv...)
}

func (c *conn) mark() (string, error) {
	b := make([]byte, 12)
	if _, err := io.ReadFull(c.cfg.Rand, b); err != nil {
		return "", fmt.Errorf("%s: sudo: %w", c.host, err)
	}
	return hex.EncodeToString(b), nil
}

// result tells sudo's own failures from the command's, whose error is told as
// if there were no sudo.
func (c *conn) result(cmd transport.Cmd, gate *gate, input *input, err error) error {
	if failed := input.failure(); failed != nil {
		return failed
	}
	var exit *transport.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	own := *exit
	own.Argv, own.Stderr = cmd.Argv, gate.text()
	if gate.began() {
		return &own
	}
	// 127 with sudo's name is a host without sudo; the rest are its refusals.
	said := own.Stderr
	switch {
	case exit.Code == 127:
		return &Error{Host: c.host, Reason: Missing, Err: &own}
	case strings.Contains(said, "sudoers"), strings.Contains(said, "not allowed"):
		return &Error{Host: c.host, Reason: NotAllowed, Err: &own}
	case gate.prompts() > 0:
		return &Error{Host: c.host, Reason: WrongPassword, Err: &own}
	case strings.Contains(said, "password is required"), strings.Contains(said, "a terminal is required"):
		return &Error{Host: c.host, Reason: PasswordNeeded, Err: &own}
	}
	return &Error{Host: c.host, Reason: Failed, Err: &own}
}

// boundedTail keeps the end of what is written.
type boundedTail struct {
	limit int
	kept  []byte
}

func (t *boundedTail) add(p []byte) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = t.kept[over:]
	}
}
