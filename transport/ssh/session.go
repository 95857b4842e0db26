package ssh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// session is one channel of the type "session". The library's own Session
// stops reading requests at the first one that it cannot parse, and the whole
// connection then hangs; this one reads them to the end.
type session struct {
	channel ssh.Channel
	ended   chan struct{} // closed when the host has closed the channel, or the connection ended

	mu     sync.Mutex
	asking bool // an answer to a request is waited for
	exit   exit
}

// exit is how a command ended, as far as the host has said.
type exit struct {
	known  bool
	code   int
	signal string
	err    error // what the host sent could not be read
}

func newSession(channel ssh.Channel, requests <-chan *ssh.Request) *session {
	s := &session{channel: channel, ended: make(chan struct{})}
	go s.serve(requests)
	return s
}

func (s *session) serve(requests <-chan *ssh.Request) {
	defer close(s.ended)
	for r := range requests {
		switch r.Type {
		case "exit-status", "exit-signal":
			s.note(r)
		}
		if r.WantReply {
			_ = r.Reply(false, nil) // OpenSSH's signs of life are answered so as well
		}
	}
}

// signals are those of RFC 4254, section 6.10, and the others by which Linux ends
// a process; OpenSSH adds its name to these.
var signals = []string{
	"ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2",
	"BUS", "TRAP", "SYS", "XCPU", "XFSZ", "SIG@openssh.com",
}

// note keeps the first exit that the host reports.
func (s *session) note(r *ssh.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exit.known || s.exit.err != nil {
		return
	}
	if r.Type == "exit-status" {
		if len(r.Payload) != 4 {
			s.exit.err = fmt.Errorf("malformed exit-status of %d bytes", len(r.Payload))
			return
		}
		s.exit = exit{known: true, code: int(binary.BigEndian.Uint32(r.Payload))}
		return
	}
	var p struct {
		Signal  string
		Core    bool
		Message string
		Lang    string
	}
	if err := ssh.Unmarshal(r.Payload, &p); err != nil || p.Signal == "" {
		s.exit.err = errors.New("malformed exit-signal")
		return
	}
	if !slices.Contains(signals, p.Signal) {
		p.Signal = "?" // whatever it says is the host's own word
	}
	s.exit = exit{known: true, code: -1, signal: p.Signal}
}

// result is how the command ended; it is complete once ended is closed.
func (s *session) result() exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit
}

func (s *session) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// errExecRefused reports that the host opened a session and ran nothing in it.
var errExecRefused = errors.New("the host refuses to run commands in its sessions")

// exec asks for the line to be run and waits for the host's answer.
func (s *session) exec(line string) error {
	s.ask()
	defer s.asked()
	ok, err := s.channel.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{line}))
	if err == nil && !ok {
		return errExecRefused
	}
	return err
}

// signal asks the host to send a signal to the command's process group, and
// reports whether the host says that it did. OpenSSH answers although RFC 4254
// does not ask for it, and refuses for root ("session signalling requires
// privilege separation").
func (s *session) signal(name string) bool {
	payload := ssh.Marshal(struct{ Name string }{name})
	if !s.ask() { // one answer at a time: nothing says what becomes of this one
		_, _ = s.channel.SendRequest("signal", false, payload)
		return false
	}
	defer s.asked()
	ok, err := s.channel.SendRequest("signal", true, payload)
	return err == nil && ok
}

// ask reports whether no answer of the host is waited for, and has one waited for until asked.
func (s *session) ask() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking {
		return false
	}
	s.asking = true
	return true
}

func (s *session) asked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = false
}

func (s *session) close() { _ = s.channel.Close() }
