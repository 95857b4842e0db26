package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// bubble is synctest.Test on one processor: the race detector crashes where two
// timers of a bubble fire at once (https://go.dev/issue/78156, Go 1.26).
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

// fakeHost is a host in memory that runs every shell script.
func fakeHost(t *testing.T) transport.Conn {
	t.Helper()
	hosts := faketransport.New()
	hosts.Host("served")
	conn, err := hosts.Dial(t.Context(), "served")
	require.NoError(t, err)
	return conn
}

// inMemory connects a Transport to a server without a socket, so that both live
// on the clock of a bubble.
func inMemory(t *testing.T, serve sshtest.Config, change func(*ssh.Config)) (*ssh.Transport, *sshtest.Server) {
	t.Helper()
	if serve.Conn == nil {
		serve.Conn = fakeHost(t)
	}
	serve.InMemory = true
	s := start(t, serve)
	return connect(t, s, func(c *ssh.Config) {
		c.DialContext = s.DialContext
		if change != nil {
			change(c)
		}
	}), s
}

func dialled(want transport.DialReason, texts ...string) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		text := reason(t, err, want)
		for _, part := range texts {
			require.Contains(t, text, part)
		}
		requireShowable(t, text)
	}
}

func as[E error](texts ...string) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		var want E
		require.ErrorAs(t, err, &want)
		for _, part := range texts {
			require.Contains(t, err.Error(), part)
		}
		requireShowable(t, err.Error())
	}
}

// requireShowable fails for text that a terminal would obey.
func requireShowable(t *testing.T, text string) {
	t.Helper()
	require.NotContains(t, text, "\x1b")
	require.Less(t, len(text), 20<<10)
}

// most is what one host may cost this process.
const most = 32 << 20

// peak watches the heap until the function returned is called.
func peak(t *testing.T) (stop func()) {
	t.Helper()
	heap := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	runtime.GC()
	before := heap()
	var highest atomic.Uint64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			highest.Store(max(highest.Load(), heap()))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		if grown := int64(highest.Load()) - int64(before); grown > most {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
	}
}

// Whatever a server does, Dial and Run end with an error that says what
// happened, within the time limits of the Config, and nothing of it stays behind: a
// goroutine that does fails the bubble. None costs 32 MiB.
func TestBrokenServers(t *testing.T) {
	expect := map[sshtest.Fault]func(*testing.T, error){
		sshtest.BannerMissing: func(t *testing.T, err error) {
			dialled(transport.Unreachable, "no answer within 15s", "banner")(t, err)
			require.NotErrorIs(t, err, context.DeadlineExceeded) // which would say that the caller's own time is up
		},
		sshtest.ClosedAtOnce:      dialled(transport.Unreachable),
		sshtest.BannerEndless:     dialled(transport.Incompatible),
		sshtest.LinesEndless:      dialled(transport.Incompatible, "hello"),
		sshtest.BannerSlow:        dialled(transport.Unreachable, "no answer within 15s"),
		sshtest.OtherProtocol:     dialled(transport.Unreachable, "HTTP/1.1 400"),
		sshtest.VersionOne:        dialled(transport.Incompatible, "version 1"),
		sshtest.KexHangs:          dialled(transport.Unreachable, "no answer within 15s", "key exchange"),
		sshtest.KexClosed:         dialled(transport.Unreachable),
		sshtest.KexGarbage:        dialled(transport.Incompatible),
		sshtest.PacketHuge:        dialled(transport.Incompatible),
		sshtest.KexReplyHangs:     dialled(transport.Unreachable, "no answer within 15s", "key exchange"),
		sshtest.IgnoreEndless:     dialled(transport.Incompatible, "1 MiB"),
		sshtest.NoAlgorithm:       dialled(transport.Incompatible, "diffie-hellman-group1-sha1"),
		sshtest.SignatureWrong:    dialled(transport.HostKey),
		sshtest.LoginHangs:        dialled(transport.Unreachable, "no answer within 15s", "login"),
		sshtest.LoginClosed:       dialled(transport.Unreachable),
		sshtest.BannersEndless:    dialled(transport.Incompatible, "1 MiB"),
		sshtest.QuestionsEndless:  dialled(transport.Auth, "over 10 times"),
		sshtest.NeverEnough:       dialled(transport.Auth, "accepted publickey and wants more"),
		sshtest.LoginDropped:      dialled(transport.Auth, "account"),
		sshtest.DropsAtOnce:       dialled(transport.Lost),
		sshtest.GarbageLater:      dialled(transport.Lost),
		sshtest.KeyChanges:        dialled(transport.Lost, "changed"),
		sshtest.RekeyEndless:      func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.GlobalFlood:       func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.ChannelFlood:      func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.SessionHangs:      dialled(transport.Lost, "session was not answered within 1m"),
		sshtest.SessionRefused:    dialled(transport.Refused, "MaxSessions"),
		sshtest.CommandHangs:      dialled(transport.Lost, "command was not answered within 1m"),
		sshtest.CommandClosed:     as[*transport.NotStartedError]("closed the session"),
		sshtest.CommandRefused:    as[*transport.NotStartedError]("refuses to run commands"),
		sshtest.CommandSilent:     as[*transport.NotStartedError]("within 1m"),
		sshtest.CommandReplaced:   as[*transport.NotStartedError]("exit status 0", "as you wish"),
		sshtest.CommandMerged:     as[*transport.UnknownExitError]("one of its streams"),
		sshtest.CommandCut:        as[*transport.UnknownExitError]("own status did not come"),
		sshtest.StatusReplaced:    func(t *testing.T, err error) { require.NoError(t, err) }, // true's own
		sshtest.ExtensionsEndless: dialled(transport.Incompatible),
		sshtest.ExtensionsHuge:    dialled(transport.Incompatible),
		sshtest.PacketLarge:       dialled(transport.Lost, "packet"),
		sshtest.PacketsIgnored:    func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.PacketsTiny:       dialled(transport.Lost, "MaxPacketSize"),
		sshtest.ChannelUnknown:    dialled(transport.Lost, "invalid channel"),
		sshtest.GivenUpMidstream:  dialled(transport.Lost),
		sshtest.RequestUnknown:    func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.ConfirmedTwice:    dialled(transport.Lost, "duplicate"),
		sshtest.WindowFlood:       func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.WindowOverflow:    dialled(transport.Lost, "window"),
		sshtest.WindowExceeded:    func(t *testing.T, err error) { require.ErrorIs(t, err, transport.ErrTooLarge) },
		sshtest.AnswerFlood:       func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.StreamUnknown:     func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.PingFlood:         func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.FloodBefore:       as[*transport.NotStartedError]("64 KiB"),
		sshtest.FloodOfOutput:     func(t *testing.T, err error) { require.ErrorIs(t, err, transport.ErrTooLarge) },
		sshtest.ExitMissing:       as[*transport.UnknownExitError]("without an exit status"),
		sshtest.ExitMalformed:     as[*transport.UnknownExitError]("malformed exit-status of 1 bytes"),
		sshtest.SignalMalformed:   as[*transport.UnknownExitError]("malformed exit-signal"),
		sshtest.RequestFlood:      func(t *testing.T, err error) { require.NoError(t, err) },
		sshtest.DropsCommand:      dialled(transport.Lost),
		sshtest.HangsCommand:      dialled(transport.Lost, "no sign of life for 30s"),
		sshtest.InputUnread: func(t *testing.T, err error) {
			t.Helper()
			as[*transport.StillRunningError]("may still run")(t, err)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		},
	}
	require.Len(t, expect, len(sshtest.Faults())-len(apart))
	for _, fault := range sshtest.Faults() {
		if slices.Contains(apart, fault) {
			continue
		}
		t.Run(string(fault), func(t *testing.T) {
			defer peak(t)()
			bubble(t, func(t *testing.T) {
				tr, _ := inMemory(t, sshtest.Config{Fault: fault}, func(c *ssh.Config) {
					if fault == sshtest.QuestionsEndless {
						c.Auth.Answer = func(context.Context, ssh.Questions) ([]transport.Data, error) {
							return []transport.Data{transport.Bytes([]byte("1"))}, nil
						}
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				conn, err := tr.Dial(ctx, "host")
				switch {
				case err != nil:
				case fault == sshtest.InputUnread:
					err = conn.Run(ctx, transport.Cmd{Argv: []string{"true"}, Stdin: zeros{}})
				default:
					_, err = transport.Output(ctx, conn, "true")
				}
				expect[fault](t, err)
			})
		})
	}
}

// Output without an end is read until ctx ends, and the host is held up from then on.
func TestFloodAndCtx(t *testing.T) {
	defer peak(t)()
	tr, _ := inMemory(t, sshtest.Config{Fault: sshtest.FloodOfOutput}, func(c *ssh.Config) { c.Grace = 50 * time.Millisecond })
	conn, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = conn.Run(ctx, transport.Cmd{Argv: []string{"true"}, Stdout: &after{1 << 20, cancel}})
	require.ErrorIs(t, err, context.Canceled)
	as[*transport.StillRunningError]("may still run")(t, err)
}

// A host that asks for signs of life and reads no answer holds up its own connection, which is
// given up when it shows none itself.
func TestPingsUnread(t *testing.T) {
	defer peak(t)()
	tr, _ := inMemory(t, sshtest.Config{Fault: sshtest.PingsUnread}, func(c *ssh.Config) {
		c.Grace, c.KeepAlive, c.KeepAliveMax = 50*time.Millisecond, 50*time.Millisecond, 2
	})
	conn, err := tr.Dial(t.Context(), "host")
	require.NoError(t, err)
	_, err = transport.Output(t.Context(), conn, "true")
	dialled(transport.Lost, "no sign of life")(t, err)
}

// A connection that the library gives up while the host goes on sending leaves no goroutine
// behind, whether it is in use or idle then, and is made again.
func TestGivenUpMidstream(t *testing.T) {
	for _, keepAlive := range []time.Duration{0, -1} {
		bubble(t, func(t *testing.T) {
			tr, s := inMemory(t, sshtest.Config{Fault: sshtest.GivenUpMidstream}, func(c *ssh.Config) { c.KeepAlive = keepAlive })
			for range 3 {
				conn, err := tr.Dial(t.Context(), "host")
				require.NoError(t, err)
				_, err = transport.Output(t.Context(), conn, "true")
				dialled(transport.Lost)(t, err)
			}
			require.Equal(t, 3, s.Accepted())
		})
	}
}

// Output that nobody takes costs no more than it may in packets of a byte either: of a
// command whose output is not taken, and of one that has been given up.
func TestCrumbs(t *testing.T) {
	stuck := make(chan struct{})
	for name, stdout := range map[string]io.Writer{"blocked": blocking{stuck}, "given up": failing{}} {
		t.Run(name, func(t *testing.T) {
			defer peak(t)()
			tr, _ := inMemory(t, sshtest.Config{Fault: sshtest.OutputInCrumbs}, func(c *ssh.Config) { c.Grace = 50 * time.Millisecond })
			conn, err := tr.Dial(t.Context(), "host")
			require.NoError(t, err)
			if name == "blocked" {
				go func() {
					defer close(stuck)
					var lost *transport.DialError
					for err := error(nil); !errors.As(err, &lost); { // of the whole connection
						err = conn.Run(t.Context(), transport.Cmd{Argv: []string{"true"}})
					}
				}()
			}
			err = conn.Run(t.Context(), transport.Cmd{Argv: []string{"echo"}, Stdout: stdout})
			if name == "blocked" {
				dialled(transport.Lost, "what nobody took")(t, err)
				return
			}
			as[*transport.StillRunningError]("may still run")(t, err)
		})
	}
}

type blocking struct{ until chan struct{} }

func (b blocking) Write(p []byte) (int, error) {
	<-b.until
	return len(p), nil
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// A command's own status counts, and not what a gateway reports in its place.
func TestReplacedStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, _ := inMemory(t, sshtest.Config{Fault: sshtest.StatusReplaced}, nil)
		conn, err := tr.Dial(t.Context(), "host")
		require.NoError(t, err)
		for _, code := range []int{0, 1, 7} {
			err := conn.Run(t.Context(), transport.Cmd{Argv: []string{"sh", "-c", fmt.Sprintf("echo problem >&2; exit %d", code)}})
			if code == 0 {
				require.NoError(t, err)
				continue
			}
			var exit *transport.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, code, exit.Code)
			require.Equal(t, "problem\n", exit.Stderr)
		}
	})
}

// after discards, and calls a function once so much has come.
type after struct {
	limit int
	do    func()
}

func (a *after) Write(p []byte) (int, error) {
	if a.limit -= len(p); a.limit <= 0 {
		a.do()
	}
	return len(p), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// harmless are the faults with which commands run all the same.
var harmless = []sshtest.Fault{sshtest.RekeyEndless, sshtest.GlobalFlood, sshtest.ChannelFlood, sshtest.RequestFlood, sshtest.StatusReplaced, sshtest.PacketsIgnored, sshtest.RequestUnknown,
	sshtest.WindowFlood, sshtest.AnswerFlood, sshtest.StreamUnknown, sshtest.PingFlood, sshtest.WindowExceeded}

// apart are the faults that have no place on a fake clock, which stops while something runs or waits for a
// mutex: TestPingsUnread, TestCrumbs.
var apart = []sshtest.Fault{sshtest.PingsUnread, sshtest.OutputInCrumbs}

// A ctx that ends cuts each of these waits short.
func TestBrokenServersAndCtx(t *testing.T) {
	for _, fault := range sshtest.Faults() {
		if fault == sshtest.FloodOfOutput || slices.Contains(apart, fault) {
			continue // a fake clock stops while something runs: TestFloodAndCtx
		}
		t.Run(string(fault), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr, _ := inMemory(t, sshtest.Config{Fault: fault}, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				begin := time.Now()
				conn, err := tr.Dial(ctx, "host")
				if err == nil {
					err = conn.Run(ctx, transport.Cmd{Argv: []string{"true"}, Stdout: io.Discard})
				}
				if !slices.Contains(harmless, fault) {
					require.Error(t, err)
				}
				// SIGTERM and SIGKILL have Grace each.
				require.LessOrEqual(t, time.Since(begin), 3*time.Second+2*3*time.Second)
			})
		})
	}
}

// through is a host in memory whose connections lead to a server.
type through struct {
	transport.Conn
	to *sshtest.Server
}

func (h through) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.to.DialContext(ctx, network, addr)
}

// A jump host that hangs, or that leads to a host that does, holds a Dial
// no longer than its ctx and DialTimeout, also where nothing asks for signs of
// life; and neither keeps a goroutine.
func TestSilentJumpHost(t *testing.T) {
	behind := func(t *testing.T, fault sshtest.Fault, keepAlive time.Duration) (*ssh.Transport, *sshtest.Server) {
		target := start(t, sshtest.Config{Conn: fakeHost(t), Fault: fault, InMemory: true})
		tr, jump := inMemory(t, sshtest.Config{Conn: through{fakeHost(t), target}}, func(c *ssh.Config) {
			far := target.Target()
			far.Jump = []string{"host"}
			c.Targets["far"] = far
			c.HostKeys.KnownHosts = append(c.HostKeys.KnownHosts, target.KnownHosts()...)
			c.Auth.Signers = append(c.Auth.Signers, ssh.NewSigner(target.ClientKey()))
			c.KeepAlive = keepAlive
		})
		return tr, jump
	}
	for name, keepAlive := range map[string]time.Duration{"keepalive": 0, "no keepalive": -1} {
		t.Run("works, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr, _ := behind(t, "", keepAlive)
				conn, err := tr.Dial(t.Context(), "far")
				require.NoError(t, err)
				_, err = transport.Output(t.Context(), conn, "true")
				require.NoError(t, err)
			})
		})
		t.Run("jump host is silent, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr, jump := behind(t, "", keepAlive)
				_, err := tr.Dial(t.Context(), "host")
				require.NoError(t, err)
				jump.Hang()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				begin := time.Now()
				_, err = tr.Dial(ctx, "far")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 3*time.Second, time.Since(begin))
				_, err = tr.Dial(t.Context(), "far")
				reason(t, err, transport.Unreachable)
				// The silent connection is given up, and the next Dial makes another.
				time.Sleep(2 * time.Minute)
				_, err = tr.Dial(t.Context(), "far")
				require.NoError(t, err)
			})
		})
		for _, fault := range []sshtest.Fault{sshtest.BannerMissing, sshtest.KexHangs, sshtest.KexReplyHangs, sshtest.LoginHangs} {
			t.Run(string(fault)+" behind it, "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					tr, _ := behind(t, fault, keepAlive)
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					begin := time.Now()
					_, err := tr.Dial(ctx, "far")
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, 3*time.Second, time.Since(begin))
					_, err = tr.Dial(t.Context(), "far")
					require.Contains(t, reason(t, err, transport.Unreachable), "no answer within 15s")
				})
			})
		}
	}
}

// What a host says in an error is cut short and takes no terminal over.
func TestErrorsAreSafeForATerminal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, _ := inMemory(t, sshtest.Config{Library: func(c *xssh.ServerConfig) {
			c.KeyExchanges = []string{"diffie-hellman-group1-sha1"}
		}}, nil)
		_, err := tr.Dial(t.Context(), "host")
		dialled(transport.Incompatible)(t, err)
		require.False(t, strings.ContainsAny(err.Error(), "\x1b\n"))
		require.False(t, errors.Is(err, context.Canceled))
	})
}
