package transport

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
)

// SudoConfig says as whom and how commands run.
type SudoConfig struct {
	// User to become; empty means root.
	User string
	// Password gives the password of the user who calls sudo on a host. It is
	// called at most once a host, when sudo first asks. nil means that sudo
	// must not ask (sudo -n). A secret is wrapped by Bytes so that nothing
	// formats it.
	Password func(ctx context.Context, host string) (Data, error)
	// Rand makes the prompt unguessable; nil means crypto/rand.
	Rand io.Reader
}

// SudoError tells that sudo itself refused, and the command never ran.
type SudoError struct {
	Host string
	// Reason is one of the constants beginning with Sudo.
	Reason string
	Err    error
}

// The reasons of a SudoError.
const (
	SudoPasswordNeeded = "a password is needed"
	SudoWrongPassword  = "the password is wrong"
	SudoNotAllowed     = "not allowed"
	SudoMissing        = "not installed"
	SudoFailed         = "failed"
)

func (e *SudoError) Error() string {
	s := e.Host + ": sudo: " + e.Reason
	if advice := e.Advice(); advice != "" {
		s += "; " + advice
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Advice says what to do about it, empty if nothing general can be said.
func (e *SudoError) Advice() string {
	switch e.Reason {
	case SudoPasswordNeeded:
		return "set SudoConfig.Password, or NOPASSWD in the host's sudoers"
	case SudoNotAllowed:
		return "the host's sudoers has no rule for this user and command"
	}
	return ""
}

// Unwrap gives the cause.
func (e *SudoError) Unwrap() error { return e.Err }

// Sudo makes every command of t run through sudo, which must be installed on
// the hosts. Tunnels pass it by; files go through commands, so FilesOf gives
// the shell's Filer with the other user's rights.
//
// The password never is in argv, and reaches the command's standard input in
// no case: the command is started only after sudo has said, with a mark that
// cannot be guessed, that it needs no password any more. A wrong password is
// tried once on a host and never again.
func Sudo(t Transport, cfg SudoConfig) Transport {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	return &sudo{to: t, cfg: cfg, hosts: map[string]*sudoHost{}}
}

type sudo struct {
	to  Transport
	cfg SudoConfig

	mu    sync.Mutex
	hosts map[string]*sudoHost
}

// sudoHost is what is known about a host's password; turn admits one caller.
type sudoHost struct {
	turn     chan struct{}
	password *Data
	right    bool // it has worked
	wrong    bool // it was refused
}

func (s *sudo) Dial(ctx context.Context, host string) (Conn, error) {
	conn, err := s.to.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	known, ok := s.hosts[host]
	if !ok {
		known = &sudoHost{turn: make(chan struct{}, 1)}
		s.hosts[host] = known
	}
	s.mu.Unlock()
	c := &sudoConn{conn: conn, host: host, cfg: s.cfg, known: known}
	if d, ok := conn.(Dialer); ok {
		return sudoDialer{c, d}, nil
	}
	return c, nil
}

type sudoConn struct {
	conn  Conn
	host  string
	cfg   SudoConfig
	known *sudoHost
}

// sudoDialer is a sudoConn over a Conn that makes tunnels.
type sudoDialer struct {
	*sudoConn
	dialer Dialer
}

func (s sudoDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.dialer.DialContext(ctx, network, addr)
}

func (c *sudoConn) Close() error { return c.conn.Close() }

// started is what the command's own shell writes to standard error once sudo
// has let it in; what comes after belongs to the command. The mark alone is in
// argv, which sudo repeats in its refusals.
const started = `printf '[%s started]' "$0" >&2; exec "$@"`

// Run runs the command once sudo has let it in.
func (c *sudoConn) Run(ctx context.Context, cmd Cmd) error {
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
	gate := &sudoGate{
		prompt: prompt, begun: begun, stderr: cmd.Stderr, tail: boundedTail{limit: StderrLimit},
		asked: make(chan struct{}), again: make(chan struct{}), in: make(chan struct{}),
	}
	input := &sudoInput{ctx: ctx, conn: c, gate: gate, stdin: cmd.Stdin}
	outer := cmd
	outer.Argv = c.argv(prompt, mark, cmd.Argv)
	outer.Stdin, outer.Stderr = input, gate
	err = c.conn.Run(ctx, outer)
	err = c.result(cmd, gate, input, err)
	var refused *SudoError
	input.end(gate.began(), errors.As(err, &refused) && refused.Reason == SudoWrongPassword)
	return err
}

func (c *sudoConn) argv(prompt, mark string, argv []string) []string {
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

func (c *sudoConn) mark() (string, error) {
	b := make([]byte, 12)
	if _, err := io.ReadFull(c.cfg.Rand, b); err != nil {
		return "", fmt.Errorf("%s: sudo: %w", c.host, err)
	}
	return hex.EncodeToString(b), nil
}

// result tells sudo's own failures from the command's, whose error is told as
// if there were no sudo.
func (c *sudoConn) result(cmd Cmd, gate *sudoGate, input *sudoInput, err error) error {
	if failed := input.failure(); failed != nil {
		return failed
	}
	var exit *ExitError
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
		return &SudoError{Host: c.host, Reason: SudoMissing, Err: &own}
	case strings.Contains(said, "sudoers"), strings.Contains(said, "not allowed"):
		return &SudoError{Host: c.host, Reason: SudoNotAllowed, Err: &own}
	case gate.prompts() > 0:
		return &SudoError{Host: c.host, Reason: SudoWrongPassword, Err: &own}
	case strings.Contains(said, "password is required"), strings.Contains(said, "a terminal is required"):
		return &SudoError{Host: c.host, Reason: SudoPasswordNeeded, Err: &own}
	}
	return &SudoError{Host: c.host, Reason: SudoFailed, Err: &own}
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
