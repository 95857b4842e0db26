package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/internal/progress"
	"github.com/quorate-dev/quorate/internal/hostiletest"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
)

// liar is a transport to hosts that say what they like: in the answers that lies
// picks, text is in what the host sends.
type liar struct {
	transport.Transport
	text string
	// lies says what to do with the n-th call, from 0; "" leaves it alone.
	lies func(n int) string

	mu    sync.Mutex
	calls int
}

// waysToLie are everything that a host, or the SSH server on it, can send.
var waysToLie = []string{
	"dial", "output", "lines", "values", "words", "middle", "stderr", "exit", "signal", "not started", "unknown exit", "tunnel", "file",
}

func (l *liar) lie() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	return l.lies(l.calls - 1)
}

func (l *liar) Dial(ctx context.Context, host string) (transport.Conn, error) {
	if l.lie() == "dial" {
		return nil, &transport.DialError{Host: host, Addr: l.text, Reason: transport.Auth, Advice: l.text, Err: errors.New(l.text)}
	}
	c, err := l.Transport.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	return lyingConn{c, host, l}, nil
}

// lyingConn has no Filer, so that files too come by commands.
type lyingConn struct {
	transport.Conn
	host string
	liar *liar
}

func (c lyingConn) Run(ctx context.Context, cmd transport.Cmd) error {
	text := c.liar.text
	way := c.liar.lie()
	switch way {
	case "exit":
		return &transport.ExitError{Host: c.host, Argv: cmd.Argv, Code: 1, Stderr: text}
	case "signal":
		return &transport.ExitError{Host: c.host, Argv: cmd.Argv, Code: -1, Signal: text, Stderr: text}
	case "not started":
		return &transport.NotStartedError{Host: c.host, Argv: cmd.Argv, Code: 0, Said: text}
	case "unknown exit":
		return &transport.UnknownExitError{Host: c.host, Argv: cmd.Argv, Stderr: text, Err: errors.New(text)}
	case "file":
		return &transport.FileError{Host: c.host, Op: "read", Path: "/x", Err: errors.New(text)}
	}
	var said bytes.Buffer
	stdout := cmd.Stdout
	cmd.Stdout = &said
	if way == "stderr" && cmd.Stderr != nil {
		_, _ = io.WriteString(cmd.Stderr, text)
	}
	err := c.Conn.Run(ctx, cmd)
	answer := said.String()
	switch way {
	case "output":
		answer = text
	case "lines":
		answer = strings.ReplaceAll(answer, "\n", text+"\n")
	case "values":
		answer = regexp.MustCompile(`(?m)=.*$`).ReplaceAllLiteralString(answer, "="+text)
	case "words":
		answer = regexp.MustCompile(`[A-Za-z]{4,}`).ReplaceAllLiteralString(answer, strings.ReplaceAll(text, "\n", ""))
	case "middle":
		answer = answer[:len(answer)/2] + text + answer[len(answer)/2:]
	}
	if stdout != nil {
		if _, failed := io.WriteString(stdout, answer); err == nil {
			err = failed
		}
	}
	return err
}

func (c lyingConn) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.liar.lie() == "tunnel" {
		return nil, &transport.TunnelError{Host: c.host, Network: network, Addr: addr, Reason: transport.TunnelFailed, Advice: c.liar.text, Err: errors.New(c.liar.text)}
	}
	d, _ := transport.As[transport.Dialer](c.Conn)
	return d.DialContext(ctx, network, addr)
}

func describedSite() quorate.Cluster {
	return quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0"}},
		Nodes: []quorate.Node{
			{Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
			{Name: "worker-1", Role: quorate.Worker, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.14")}},
		},
	}
}

// Whatever hosts send, in whatever answer, nothing of it reaches a terminal, a log, a
// page or a graph as it is: report, preview, progress, events, logs, journal, errors and
// the program's last line.
func TestNothingOfAHostIsShownRaw(t *testing.T) {
	tier.Checks(t, "20")
	description := describedSite()
	config, err := operator.Config(t.Context(), description, "")
	require.NoError(t, err)
	cluster, err := ha.New(t.Context(), config)
	require.NoError(t, err)
	created, err := cluster.Plan()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		text := hostiletest.Pieces().Draw(t, "text")
		way := rapid.SampledFrom(waysToLie).Draw(t, "way")
		// In what only reads everything may be a lie; a run that waits for a state
		// would wait for long.
		from := rapid.IntRange(0, 12).Draw(t, "from")
		at := rapid.IntRange(0, 120).Draw(t, "at")
		hosts, err := hatest.New(description)
		require.NoError(t, err)
		defer func() { require.NoError(t, hosts.Close()) }()
		always := func(n int) string {
			if n < from {
				return ""
			}
			return way
		}
		s := &shown{t: t, way: way}

		report, err := cluster.Preflight(ctx, preflight.Config{Transport: &liar{Transport: hosts, text: text, lies: always}, Disk: true})
		s.err(err)
		if report != nil {
			s.text("report", report.Text())
			s.text("report's JSON", string(report.JSON()))
		}
		surveyed, err := cluster.Survey(ctx, survey.Config{Transport: &liar{Transport: hosts, text: text, lies: always}, Timeout: 10 * time.Second})
		s.err(err)
		if surveyed != nil {
			s.text("survey", surveyed.Text())
			s.text("survey's JSON", string(surveyed.JSON()))
			s.page(surveyed.HTML)
		}
		preview, err := (&plan.Runner{Transport: &liar{Transport: hosts, text: text, lies: always}}).Preview(ctx, created)
		s.err(err)
		s.preview(preview)

		s.drill(text)
		once := &liar{Transport: hosts, text: text, lies: func(n int) string {
			if n == at {
				return way
			}
			return ""
		}}
		dir, err := os.MkdirTemp("", "quorate-hostile-")
		require.NoError(t, err)
		defer func() { require.NoError(t, os.RemoveAll(dir)) }()
		s.run(ctx, plan.Runner{Transport: once, Journal: &filejournal.Journal{Path: filepath.Join(dir, "journal")}}, created)
		kept, err := os.ReadFile(filepath.Join(dir, "journal"))
		require.NoError(t, err)
		s.text("journal", string(kept))
	})
}

// shown looks at everything that a program may show.
type shown struct {
	t   *rapid.T
	way string
}

func (s *shown) text(form, text string) {
	require.Empty(s.t, hostiletest.Problem(text), "%s, by %s", form, s.way)
}

// err is the final line, as run prints it, and the error's own text.
func (s *shown) err(err error) {
	if err == nil {
		return
	}
	s.text("error", err.Error())
	var last bytes.Buffer
	complainTo(&last, err)
	s.text("final line", last.String())
	require.Equal(s.t, 1, strings.Count("\n"+last.String(), "\ninstaller:"))
}

// preview looks at each form of a preview; in graphs, what hosts sent is nowhere but
// within labels.
func (s *shown) preview(p *plan.Preview) {
	s.text("preview", p.Text())
	s.text("preview's JSON", string(p.JSON()))
	mermaid, dot := p.Mermaid(), p.DOT()
	s.text("Mermaid", mermaid)
	s.text("DOT", dot)
	require.NotContains(s.t, mermaid, "%%{")
	for line := range strings.Lines(mermaid) {
		bare := regexp.MustCompile(`\["[^"]*"\]`).ReplaceAllString(line, "")
		require.NotContains(s.t, bare, hostiletest.Marker)
		require.NotContains(s.t, bare, `"`)
		require.NotRegexp(s.t, "[<>`&](?:[^/b]|$)", strings.ReplaceAll(strings.ReplaceAll(line, "<br/>", ""), "-->", ""))
	}
	bare := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(dot, "")
	require.NotContains(s.t, bare, hostiletest.Marker)
	require.NotContains(s.t, bare, `"`)
}

// run runs a plan and looks at the progress, the events and the logs.
func (s *shown) run(ctx context.Context, runner plan.Runner, p *plan.Plan) {
	var lines, stream, log bytes.Buffer
	view, writer := progress.New(&lines, p), events.NewWriter(&stream)
	logged := events.LogTo(slog.New(rawHandler{&log}))
	runner.Observe = func(e plan.Event) {
		view.Observe(e)
		writer.Observe(e)
		logged(e)
		s.text("message", e.Message)
		s.text("title", e.Title)
	}
	_, err := runner.Run(ctx, p)
	view.Close()
	require.NoError(s.t, writer.Err())
	s.err(err)
	s.text("progress", lines.String())
	s.text("events", stream.String())
	s.text("log", log.String())
	for e, err := range events.Decode(bytes.NewReader(stream.Bytes())) {
		require.NoError(s.t, err)
		if e.Err != nil {
			s.text("a decoded event's error", e.Err.Error())
		}
	}
}

// rawHandler writes what it is given as it is.
type rawHandler struct{ w io.Writer }

func (rawHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h rawHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h rawHandler) WithGroup(string) slog.Handler          { return h }
func (h rawHandler) Handle(_ context.Context, r slog.Record) error {
	_, err := io.WriteString(h.w, "log: "+r.Message)
	r.Attrs(func(a slog.Attr) bool {
		_, _ = io.WriteString(h.w, " "+a.Key+"="+strings.ReplaceAll(a.Value.String(), "\n", " "))
		return true
	})
	_, _ = io.WriteString(h.w, "\n")
	return err
}

// drill looks at a report of a drill, all of whose texts are the host's.
func (s *shown) drill(text string) {
	report := &drill.Report{}
	hostiletest.Fill(report, text)
	s.text("drill's text", report.Text())
	b, err := report.JSON()
	require.NoError(s.t, err)
	s.text("drill's JSON", string(b))
	s.page(report.HTML)
}

// page looks at a page, in which nothing that hosts sent is anything but text.
func (s *shown) page(write func(io.Writer) error) {
	var page bytes.Buffer
	require.NoError(s.t, write(&page))
	s.text("page", strings.ReplaceAll(page.String(), "\u00a0", " ")) // the page's own
	require.NotContains(s.t, page.String(), "<script>"+hostiletest.Marker)
	require.NotRegexp(s.t, `(?i)<[^>]*javascript:`, page.String())
	require.Equal(s.t, 1, strings.Count(page.String(), "</html>"))
}

// What the installer itself prints, over SSH, with everything being a lie.
func TestInstallerShowsNothingRaw(t *testing.T) {
	for _, way := range waysToLie {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := newLyingSite(t, func(n int) string {
				if n < 1 {
					return ""
				}
				return way
			})
			for _, args := range [][]string{{"-preflight"}, {"-dry-run", "-journal", "none"}} {
				_, stdout, stderr := s.run(t, args...)
				require.Empty(t, hostiletest.Problem(stdout), "%v", args)
				require.Empty(t, hostiletest.Problem(stderr), "%v", args)
			}
		})
	}
}
