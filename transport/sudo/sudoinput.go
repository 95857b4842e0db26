package sudo

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// input is sudo's standard input: nothing until sudo asks or the command
// has begun; the password if sudo asks; then the command's own input. After a
// wrong password it ends, so that sudo gives up instead of taking the
// command's input for another try.
type input struct {
	ctx   context.Context //nolint:containedctx // lives as long as the command
	conn  *conn
	gate  *gate
	begun <-chan struct{}
	stdin io.Reader

	state inputState
	typed []byte // of the password, what is still to be sent

	mu    sync.Mutex
	turn  bool // the host's turn is ours until the password is judged
	ended bool
	err   error
}

type inputState int

const (
	silent inputState = iota
	typing
	judging
	admitted
)

// Read is called by one goroutine, which may outlive the command.
func (s *input) Read(p []byte) (int, error) {
	for {
		switch s.state {
		case silent:
			select {
			case <-s.begun:
				s.state = admitted
			case <-s.gate.asked:
				if err := s.take(); err != nil {
					return 0, io.EOF
				}
				s.state = typing
			case <-s.ctx.Done():
				return 0, io.EOF
			}
		case typing:
			n := copy(p, s.typed)
			clear(s.typed[:n])
			if s.typed = s.typed[n:]; len(s.typed) == 0 {
				s.state = judging
			}
			return n, nil
		case judging:
			select {
			case <-s.begun:
				s.judge(true, false)
				s.state = admitted
			case <-s.gate.again:
				s.judge(false, true)
				return 0, io.EOF
			case <-s.ctx.Done():
				return 0, io.EOF
			}
		case admitted:
			if s.stdin == nil {
				return 0, io.EOF
			}
			return s.stdin.Read(p)
		}
	}
}

// take gets the password. The first one to use it on a host keeps the host's
// turn until it is judged, so that a wrong one is not tried by many at once.
func (s *input) take() error {
	known := s.conn.known
	select {
	case known.turn <- struct{}{}:
	case <-s.ctx.Done():
		return s.fail(s.ctx.Err())
	}
	s.mu.Lock()
	s.turn = true
	ended := s.ended
	s.mu.Unlock()
	if ended {
		s.judge(false, false)
		return net.ErrClosed
	}
	right, wrong := known.judged()
	if wrong {
		s.judge(false, false)
		return s.fail(&Error{Host: s.conn.host, Reason: WrongPassword, Err: errors.New("it was refused before and is not tried again")})
	}
	password, err := s.conn.password(s.ctx)
	if err != nil {
		s.judge(false, false)
		return s.fail(&Error{Host: s.conn.host, Reason: PasswordNeeded, Err: err})
	}
	s.typed = append(password.Bytes(), '\n')
	if right {
		s.judge(true, false)
	}
	return nil
}

// judge notes what is known of the password and returns the turn.
func (s *input) judge(right, wrong bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.turn {
		return
	}
	s.turn = false
	s.conn.known.judge(right, wrong)
	<-s.conn.known.turn
}

// end is called when the command is over, however.
func (s *input) end(right, wrong bool) {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.judge(right, wrong)
}

func (s *input) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	return err
}

func (s *input) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
