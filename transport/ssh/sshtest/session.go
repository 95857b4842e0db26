package sshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// session serves one exec; a signal, whichever it is, ends the command.
// It calls leave when it no longer counts as a session, which is before the
// client learns of its end: a client that keeps to the limit is never refused.
func (s *Server) session(ctx context.Context, ch ssh.NewChannel, leave func()) {
	channel, requests, err := ch.Accept()
	if err != nil {
		leave()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	defer work.Wait()
	defer func() { leave(); _ = channel.Close() }()
	ended := make(chan struct{})
	started := false
	signal := ""
	var mu sync.Mutex
	for {
		var req *ssh.Request
		select {
		case <-ended:
			return
		case req = <-requests:
		}
		if req == nil { // the channel is closed: the command is not wanted any more
			cancel()
			if started {
				<-ended
			}
			return
		}
		ok := false
		switch req.Type {
		case "exec":
			var p struct{ Line string }
			if ok = !started && ssh.Unmarshal(req.Payload, &p) == nil && s.cfg.Fault != CommandRefused; ok {
				if s.cfg.Fault == CommandClosed {
					return
				}
				started = true
				if s.cfg.Fault == CommandHangs {
					work.Go(func() { defer close(ended); <-ctx.Done() })
					continue
				}
				work.Go(func() {
					defer close(ended)
					if s.broken(ctx, channel, p.Line) {
						return
					}
					err := s.exec(ctx, channel, p.Line)
					mu.Lock()
					defer mu.Unlock()
					report(channel, err, signal)
				})
			}
		case "signal":
			var p struct{ Name string }
			if ok = started && !s.cfg.NoSignals && ssh.Unmarshal(req.Payload, &p) == nil; ok {
				mu.Lock()
				signal = p.Name
				mu.Unlock()
				cancel()
			}
		case "env":
			ok = true // taken and ignored, as with sshd's AcceptEnv unset
		}
		if req.WantReply {
			_ = req.Reply(ok, nil)
		}
	}
}

func (s *Server) exec(ctx context.Context, channel ssh.Channel, line string) error {
	return s.conn.Run(ctx, transport.Cmd{
		Argv: []string{"sh", "-c", line}, Stdin: channel, Stdout: channel, Stderr: channel.Stderr(),
	})
}

// report sends how the command ended.
func report(channel ssh.Channel, err error, signal string) {
	var exit *transport.ExitError
	isExit := errors.As(err, &exit)
	if isExit && exit.Signal != "" {
		signal = exit.Signal
	}
	switch {
	case err == nil:
		status(channel, 0)
	case isExit && exit.Signal == "":
		status(channel, exit.Code)
	case signal != "":
		_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{Signal: signal}))
	default:
		_, _ = fmt.Fprintln(channel.Stderr(), err)
		status(channel, 255)
	}
}

func status(channel ssh.Channel, code int) {
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)})) //nolint:gosec // 0 to 255
}

// tunnel connects a channel to where it asks for.
func (s *Server) tunnel(ctx context.Context, ch ssh.NewChannel) {
	network, addr, err := destination(ch)
	if err != nil {
		_ = ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	dial := new(net.Dialer).DialContext
	if d, ok := s.conn.(transport.Dialer); ok {
		dial = d.DialContext
	}
	far, err := dial(ctx, network, addr)
	if err != nil {
		_ = ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer func() { _ = far.Close() }()
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	var work sync.WaitGroup
	work.Go(func() { ssh.DiscardRequests(requests) })
	work.Go(func() {
		_, _ = io.Copy(far, channel)
		_ = far.Close()
	})
	_, _ = io.Copy(channel, far)
	_ = channel.Close()
	work.Wait()
}

func destination(ch ssh.NewChannel) (network, addr string, err error) {
	if ch.ChannelType() == "direct-tcpip" {
		var p struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}
		err = ssh.Unmarshal(ch.ExtraData(), &p)
		return "tcp", net.JoinHostPort(p.Host, strconv.FormatUint(uint64(p.Port), 10)), err
	}
	var p struct {
		Path     string
		Reserved string
		Unused   uint32
	}
	err = ssh.Unmarshal(ch.ExtraData(), &p)
	return "unix", p.Path, err
}
