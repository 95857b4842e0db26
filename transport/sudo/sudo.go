// Package sudo runs the commands of another transport as another user of the
// hosts, by the sudo that is installed there.
package sudo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/frame"
	"github.com/quorate-dev/quorate/transport/internal/stream"
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
	// Err is a *transport.ExitError with what sudo said, or another cause. It never
	// holds the password, also if sudo repeats it.
	Err error
}

// Reason is the kind of an Error.
type Reason string

// The reasons of an Error.
const (
	PasswordNeeded Reason = "a password is needed"
	WrongPassword  Reason = "the password is wrong"
	NotAllowed     Reason = "not allowed"
	TerminalNeeded Reason = "a terminal is required"
	Missing        Reason = "not installed"
	NotPrivileged  Reason = "without root's rights"
	AccountRefused Reason = "the account is locked or expired"
	NotStarted     Reason = "ended, and the command did not run"
	TooMuchPrinted Reason = "printed too much before the command began"
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
	return termsafe.Indented(s)
}

// Advice says what to do about it, empty if nothing general can be said.
func (e *Error) Advice() string {
	switch e.Reason {
	case PasswordNeeded:
		return "set sudo.Config.Password, or NOPASSWD in the host's sudoers"
	case NotAllowed:
		return "the host's sudoers has no rule for this user and command"
	case TerminalNeeded:
		return "the host's sudoers has requiretty: add !requiretty to its Defaults for this user"
	case Missing:
		return "install sudo on the host, or connect as root"
	case NotPrivileged:
		return "sudo needs its set-user-ID bit, and a file system mounted without nosuid"
	case AccountRefused:
		return "unlock the user on the host, or renew its password (passwd, chage)"
	}
	return ""
}

// FilterWords returns the error with what the host has said passed through filter;
// transport.FilterWords calls it.
func (e *Error) FilterWords(filter func(text string) string) error {
	own := *e
	own.Err = transport.FilterWords(e.Err, filter)
	return &own
}

// EventFields returns what plan/events shows of it beside its text.
func (e *Error) EventFields() map[string]string {
	return map[string]string{"kind": "sudo", "host": e.Host, "tried": "sudo", "reason": string(e.Reason), "do": e.Advice()}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// refusals are what sudo says in English, in the order of precedence.
var refusals = []struct {
	said   string
	reason Reason
}{
	{"must have a tty", TerminalNeeded},
	{"not in the sudoers file", NotAllowed},
	{"not allowed to", NotAllowed},
	{"may not run sudo", NotAllowed},
	{"account validation failure", AccountRefused},
	{"password is expired", AccountRefused},
	{"password expired", AccountRefused},
	{"effective uid is not 0", NotPrivileged},
	{"must be owned by uid 0 and have the setuid bit set", NotPrivileged},
	{"no new privileges", NotPrivileged},
	{"password is required", PasswordNeeded},
	{"a terminal is required", PasswordNeeded},
}

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
	return &Transport{to: t, cfg: cfg, hosts: map[string]*hostState{}}
}

// hostState is what is known about a host's password; turn admits one caller
// who tries it.
type hostState struct {
	turn chan struct{}

	mu       sync.Mutex
	password *transport.Data
	right    bool // it has worked
	wrong    bool // it was refused
}

// accepted is the password as a line, if sudo has taken it before.
func (h *hostState) accepted() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.password == nil || !h.right {
		return nil
	}
	return append(h.password.Bytes(), '\n')
}

// password asks for the host's password, once. The caller has the turn.
func (c *conn) password(ctx context.Context) (transport.Data, error) {
	c.known.mu.Lock()
	have := c.known.password
	c.known.mu.Unlock()
	if have != nil {
		return *have, nil
	}
	d, err := c.cfg.Password(ctx, c.host)
	if err != nil {
		return transport.Data{}, err
	}
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	c.known.password = &d
	return d, nil
}

// redacted is a text without the password.
func (h *hostState) redacted(text string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.password == nil || h.password.Len() == 0 {
		return text
	}
	return strings.ReplaceAll(text, string(h.password.Bytes()), "[password]")
}

// judge keeps what is known of the password.
func (h *hostState) judge(right, wrong bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.right, h.wrong = h.right || right, h.wrong || wrong
}

func (h *hostState) judged() (right, wrong bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.right, h.wrong
}

// Has is that of transport.Inventory: of the transport below, if that is one.
func (s *Transport) Has(host string) error {
	if below, ok := s.to.(transport.Inventory); ok {
		return below.Has(host)
	}
	return nil
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
	if d, ok := transport.As[transport.Dialer](through); ok {
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

var (
	//go:embed scripts/call.sh
	callScript string
	//go:embed scripts/admitted.sh
	admittedScript string
)

// Run runs the command once sudo has let it in. A command that is cancelled is
// ended through sudo too: its processes take no signal from the user who called
// sudo.
func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	if err := transport.ValidateArgv(cmd.Argv); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	mark, err := frame.NewMark(c.cfg.Rand)
	if err != nil {
		return fmt.Errorf("%s: sudo: %w", c.host, err)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	tail := stream.NewTail(transport.StderrLimit)
	f := frame.New(mark, cmd.Stdout, stream.Tee(cmd.Stderr, tail))
	prompt := "[" + mark + " password]"
	g := newGate(prompt, f.Stderr, f.Stderr.HasBegun, cancel)
	in := &input{ctx: inner, conn: c, gate: g, begun: f.Begun(), stdin: cmd.Stdin}
	outer := cmd
	outer.Argv = c.argv(prompt, mark, cmd.Argv)
	outer.Stdin, outer.Stdout, outer.Stderr = in, stream.Watch(f.Stdout, g.fail), g
	outer.Kill = func(signal string, group int) transport.Cmd { return c.kill(cmd.Kill, signal, group) }
	err = c.conn.Run(inner, outer)
	if cut := f.Finish(); err == nil {
		err = cut
	}
	err = c.result(cmd, f, g, in, tail, err)
	var refused *Error
	in.end(f.HasBegun(), errors.As(err, &refused) && refused.Reason == WrongPassword)
	return err
}

// argv calls sudo for a command that has a frame of its own.
func (c *conn) argv(prompt, mark string, argv []string) []string {
	inner := "locale=$1\nshift\n" + admittedScript + frame.Framed("$0")
	call := callScript + "exec sudo" + frame.Words(c.flags(prompt)) + " -- sh -c " + frame.Quote(inner) + ` "$0" "$locale" "$@"` + "\n"
	return append([]string{"sh", "-c", call, mark}, argv...)
}

func (c *conn) flags(prompt string) []string {
	flags := []string{"-n"}
	if c.cfg.Password != nil {
		flags = []string{"-S", "-p", prompt}
	}
	if c.cfg.User != "" {
		flags = append(flags, "-u", c.cfg.User)
	}
	return flags
}

// kill signals a process group of commands that sudo has let in. A password is
// sent only if sudo has taken it before; kill(1) reads no input.
func (c *conn) kill(inner func(string, int) transport.Cmd, signal string, group int) transport.Cmd {
	cmd := transport.Cmd{Argv: []string{"kill", "-s", signal, "--", fmt.Sprint(-group)}}
	if inner != nil {
		cmd = inner(signal, group)
	}
	cmd.Argv = append(append([]string{"sudo"}, append(c.flags(""), "--")...), cmd.Argv...)
	if line := c.known.accepted(); line != nil {
		if cmd.Stdin == nil {
			cmd.Stdin = strings.NewReader("")
		}
		cmd.Stdin = io.MultiReader(bytes.NewReader(line), cmd.Stdin)
	}
	return cmd
}

// errNoStatus reports success that only what is called sudo claims.
var errNoStatus = errors.New("sudo reports success, and the command's own status did not come")

// result separates sudo's own failures from the command's, which is reported as if
// there were no sudo.
func (c *conn) result(cmd transport.Cmd, f *frame.Frame, g *gate, in *input, tail *stream.Tail, err error) error {
	if failed := in.failure(); failed != nil {
		return failed
	}
	if errors.Is(g.failure(), frame.ErrNoFrame) {
		return &Error{Host: c.host, Reason: TooMuchPrinted, Err: g.failure()}
	}
	var exit *transport.ExitError
	isExit := errors.As(err, &exit)
	code, ended := f.Status()
	switch {
	case f.HasBegun() && (err == nil || isExit) && ended && code == 0:
		return nil
	case f.HasBegun() && err == nil && !ended:
		return &transport.UnknownExitError{Host: c.host, Argv: cmd.Argv, Stderr: c.known.redacted(tail.String()), Err: errNoStatus}
	case f.HasBegun() && (err == nil || isExit):
		own := transport.ExitError{Host: c.host}
		if isExit {
			own = *exit
		}
		if ended { // what sudo, or what is called so, makes of it counts less
			own.Code, own.Signal = code, ""
		}
		own.Argv, own.Stderr = cmd.Argv, c.known.redacted(tail.String())
		if own.Code == 127 && own.Advice == "" {
			own.Advice = "sudo looks for programs in the secure_path of the host's sudoers, which often lacks /usr/local/bin"
		}
		return &own
	case f.HasBegun():
		return c.named(err, cmd)
	case err == nil:
		exit = &transport.ExitError{}
	case isExit:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if said := c.said(f, g); said != "" {
			return fmt.Errorf("%w; sudo had not started the command, and said: %s", c.named(err, cmd), termsafe.Indented(said))
		}
		return c.named(err, cmd)
	default:
		return c.named(err, cmd)
	}
	own := *exit
	own.Host, own.Argv, own.Stderr = c.host, cmd.Argv, c.said(f, g)
	return &Error{Host: c.host, Reason: reason(own.Code, f.Said(transport.StderrLimit), g.prompts()), Err: &own}
}

// named is an error of the inner Conn with the command in place of the call of
// sudo, and without the password.
func (c *conn) named(err error, cmd transport.Cmd) error {
	var running *transport.StillRunningError
	var unstarted *transport.NotStartedError
	var unknown *transport.UnknownExitError
	switch {
	case errors.As(err, &running):
		own := *running
		own.Argv = cmd.Argv
		return &own
	case errors.As(err, &unstarted):
		own := *unstarted
		own.Argv, own.Said = cmd.Argv, c.known.redacted(own.Said)
		return &own
	case errors.As(err, &unknown):
		own := *unknown
		own.Argv, own.Stderr = cmd.Argv, c.known.redacted(own.Stderr)
		return &own
	}
	return err
}

// reason reads how sudo ended without having started the command.
func reason(code int, said string, prompts int) Reason {
	if code == 127 {
		return Missing
	}
	for _, r := range refusals {
		if strings.Contains(said, r.said) && (r.reason != PasswordNeeded || prompts == 0) {
			return r.reason
		}
	}
	switch {
	case code == 0:
		return NotStarted
	case prompts > 0:
		return WrongPassword
	}
	return Failed
}

// said is what came instead of the command. Where sudo has been sent the
// password, only what is sudo's own can be shown, and without it: what else is
// printed may be a part of it.
func (c *conn) said(f *frame.Frame, g *gate) string {
	said := f.Said(transport.StderrLimit)
	if g.prompts() == 0 {
		return said
	}
	var own []string
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "sudo: ") || strings.HasPrefix(line, "Sorry, ") {
			own = append(own, strings.TrimSpace(line))
			continue
		}
		for _, r := range refusals {
			if strings.Contains(line, r.said) {
				own = append(own, r.said)
				break
			}
		}
	}
	return c.known.redacted(strings.Join(own, "\n"))
}
