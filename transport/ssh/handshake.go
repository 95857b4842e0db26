package ssh

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/transport"
)

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// maxHandshake bounds what a host may send before the user is in.
const maxHandshake = 1 << 20

var errOldSSH = errors.New("the host speaks version 1 of the protocol only")

var errMaxHandshake = errors.New("the host sent over 1 MiB before the login was complete")

// handshake connects and authenticates within DialTimeout.
func (t *state) handshake(caller context.Context, h hop, dial dialFunc) (*client, error) {
	limit := startLimit(caller, t.cfg.DialTimeout)
	defer limit.end()
	defer context.AfterFunc(t.life, limit.end)()
	s := &handshake{t: t, h: h, caller: caller, limit: limit, phase: "the connection"}
	raw, err := dial(limit.ctx, "tcp", h.target.hostPort())
	if err != nil {
		return nil, s.failed(err)
	}
	c, err := s.speak(raw)
	if err != nil {
		_ = raw.Close()
		return nil, s.failed(err)
	}
	return c, nil
}

// handshake is one under way.
type handshake struct {
	t      *state
	h      hop
	caller context.Context //nolint:containedctx // of one Dial
	limit  *limit
	wire   *wire

	mu    sync.Mutex
	phase string // what the host is waited for
	key   error  // why its key was not taken
	auth  *authentication
}

func (s *handshake) reach(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
}

func (s *handshake) speak(raw net.Conn) (*client, error) {
	stop := context.AfterFunc(s.limit.ctx, func() { _ = raw.Close() })
	defer stop()
	s.wire = &wire{Conn: raw, left: maxHandshake, backlog: &backlog{}, closed: make(chan struct{})}
	s.reach("its banner and the key exchange")
	login := Login{Host: s.h.name, Addr: s.h.target.hostPort(), User: s.h.user}
	s.auth = s.t.credentials.login(s.limit.ctx, login, s.wire.failure, s.limit.pause)
	defer func() { s.auth.closeAgent() }()
	cfg := &ssh.ClientConfig{
		Config:            s.t.cfg.Algorithms.library(),
		User:              s.h.user,
		HostKeyAlgorithms: s.t.hosts.prefer(s.h),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			err := s.t.hosts.check(s.h, key) // on the library's goroutine, and at each change of keys
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.key = err; err == nil {
				s.phase = "the login"
			}
			return err
		},
		AuthCallback:   s.auth.next,
		BannerCallback: s.auth.banner,
	}
	conn, chans, reqs, err := ssh.NewClientConn(s.wire, s.h.target.hostPort(), cfg)
	if err != nil {
		return nil, err
	}
	if !stop() { // it is being closed
		_ = conn.Close()
		return nil, context.Cause(s.limit.ctx)
	}
	s.wire.unlimited()
	return newClient(ssh.NewClient(conn, chans, reqs), s.h, s.t.cfg.limits(), &s.t.work, s.wire.backlog), nil
}

// failed makes the error of a handshake. The caller's own ctx ending is its own
// doing, and no DialError.
func (s *handshake) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.caller.Err(); err != nil {
		return fmt.Errorf("%s: %w", s.h.name, err)
	}
	if s.t.life.Err() != nil {
		return s.h.dialError(transport.Lost, net.ErrClosed, "")
	}
	if errors.Is(context.Cause(s.limit.ctx), errLate) {
		err = fmt.Errorf("no answer within %v, waiting for %s: %w", s.t.cfg.DialTimeout, s.phase, os.ErrDeadlineExceeded) // no ctx of the caller ended
		return s.h.dialError(transport.Unreachable, err, "")
	}
	if s.wire != nil {
		if text := s.wire.greeting(); text != "" {
			err = fmt.Errorf("it says %q: %w", text, err)
		}
	}
	var mismatch *ssh.AlgorithmNegotiationError
	switch {
	case s.key != nil:
		return s.key
	case s.auth != nil && s.auth.exhausted:
		refused := s.auth.refused(err)
		return s.h.dialError(transport.Auth, refused, refused.advice())
	case s.auth != nil && len(s.auth.report.Attempts) > 0 && isDisconnect(err):
		s.auth.report.Err = hostError{err}
		return s.h.dialError(transport.Auth, s.auth.report, s.auth.report.advice())
	case s.auth != nil && s.auth.proved && errors.Is(err, io.EOF):
		s.auth.report.Err = errEnded
		return s.h.dialError(transport.Auth, s.auth.report, s.auth.report.advice())
	case errors.Is(err, rsa.ErrVerification), strings.Contains(err.Error(), "signature did not verify"):
		return s.h.keyError(hostError{err}, "something else answers at its address with a copy of the host's public key")
	case errors.As(err, &mismatch):
		return s.h.dialError(transport.Incompatible, hostError{err}, "docs/ssh.md lists what is accepted; Config.Algorithms can allow more")
	case s.wire == nil, s.wire.broken(), isDisconnect(err):
		return s.h.dialError(transport.Unreachable, hostError{err}, "")
	}
	return s.h.dialError(transport.Incompatible, hostError{err}, "is it an SSH server that answers there?")
}

const disconnect = "ssh: disconnect, reason "

// isDisconnect recognises the host's own word that it ends the connection, for
// which the library has no type.
func isDisconnect(err error) bool { return strings.Contains(err.Error(), disconnect) }

// hostError is an error with a host's words in it, which are made safe to show.
type hostError struct{ err error }

func (e hostError) Error() string { return termsafe.Cut(termsafe.Line(e.err.Error()), 1024, "...") }

// Unwrap returns the error.
func (e hostError) Unwrap() error { return e.err }

// FilterWords passes through filter what a host says at the end of a connection, or
// to refuse a channel.
func (e hostError) FilterWords(filter func(text string) string) error {
	var refused *ssh.OpenChannelError
	if errors.As(e.err, &refused) {
		return hostError{&ssh.OpenChannelError{Reason: refused.Reason, Message: filter(refused.Message)}}
	}
	before, said, found := strings.Cut(e.err.Error(), disconnect)
	if reason, words, ok := strings.Cut(said, ": "); found && ok {
		return hostError{errors.New(before + disconnect + reason + ": " + filter(words))}
	}
	return e
}

func (h hop) dialError(reason transport.DialReason, err error, advice string) *transport.DialError {
	return &transport.DialError{Host: h.name, Addr: h.target.hostPort(), Reason: reason, Err: err, Advice: advice}
}

// wire is a connection that bounds what is read before the login is complete,
// and remembers how it broke.
type wire struct {
	net.Conn
	backlog *backlog
	closed  chan struct{}
	closing sync.Once

	mu    sync.Mutex
	left  int // -1 for no bound
	ahead int // what the host has sent since we last wrote
	first []byte
	err   error
}

// paced is how much is read at once until the login is complete: less than the 16 packets that
// the library holds for itself to take. Where a host sends more than it was asked for, the library gets the
// time to refuse it before it holds more, with which its goroutines would wait for each other for ever.
const paced = 400

func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	left, ahead := w.left, w.ahead
	w.mu.Unlock()
	if left == 0 {
		return 0, w.fail(errMaxHandshake)
	}
	if left > 0 && len(p) > paced {
		p = p[:min(paced, left)]
		if ahead > paced {
			timer := time.NewTimer(time.Millisecond)
			select {
			case <-timer.C:
			case <-w.closed:
				timer.Stop()
			}
		}
	}
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	if w.left > 0 {
		w.left -= n
		w.ahead += n
		w.first = append(w.first, p[:min(n, 256-len(w.first))]...)
	}
	old := bytes.HasPrefix(w.first, []byte("SSH-1.")) && !bytes.HasPrefix(w.first, []byte("SSH-1.99-")) && bytes.IndexByte(w.first, '\n') > 0
	w.mu.Unlock()
	if old {
		return 0, w.fail(errOldSSH)
	}
	if over := w.backlog.received(n); over != nil {
		return 0, w.fail(over)
	}
	return n, w.fail(err)
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.ahead = 0
	w.mu.Unlock()
	n, err := w.Conn.Write(p)
	return n, w.fail(err)
}

func (w *wire) Close() error {
	w.closing.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

func (w *wire) fail(err error) error {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = err
		}
	}
	return err
}

func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// broken reports that the connection ended, and not because of what was sent over it.
func (w *wire) broken() bool {
	err := w.failure()
	return err != nil && !errors.Is(err, errMaxHandshake) && !errors.Is(err, errOldSSH) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe)
}

func (w *wire) unlimited() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.first = -1, nil
}

// greeting is what came in place of an SSH banner, such as sshd's "Exceeded
// MaxStartups" or another protocol's answer.
func (w *wire) greeting() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes.HasPrefix(w.first, []byte("SSH-")) {
		return ""
	}
	return clip(string(w.first), 256)
}

// limit is a time limit that is stopped while a person is asked.
type limit struct {
	ctx   context.Context //nolint:containedctx // is what it is about
	end   context.CancelFunc
	timer *time.Timer
	whole time.Duration
}

var errLate = errors.New("the time is up")

func startLimit(parent context.Context, whole time.Duration) *limit {
	ctx, cancel := context.WithCancelCause(parent)
	l := &limit{ctx: ctx, whole: whole, timer: time.AfterFunc(whole, func() { cancel(errLate) })}
	l.end = func() { l.timer.Stop(); cancel(nil) }
	return l
}

// pause stops the clock; it starts again from the beginning.
func (l *limit) pause() (resume func()) {
	if !l.timer.Stop() {
		return func() {}
	}
	return func() { l.timer.Reset(l.whole) }
}
