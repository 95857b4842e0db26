package drill_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/tier"
)

// browser is a Chromium of the machine, driven through its DevTools protocol
// over two pipes: messages in JSON, each ended by a zero byte. That needs no
// port and no library, and browser_test.go is all of it.
type browser struct {
	in io.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan<- answer
	events  []event
	changed chan struct{} // closed and replaced with each event
	ended   error
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// event is what a page reports by itself.
type event struct {
	Session string
	Method  string
	Params  json.RawMessage
}

// startBrowser starts one for the test's life; without one on the machine the
// test is skipped, but in CI it fails.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := tier.Program(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
	toBrowser, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromBrowser, err := os.Pipe()
	require.NoError(t, err)
	// Not t.Context: it ends before the cleanup, and the browser is to be asked
	// to leave, for it has children.
	cmd := exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--hide-scrollbars", "--force-color-profile=srgb", "--user-data-dir="+filepath.Join(t.TempDir(), "profile"))
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // it reads 3 and writes 4
	var log strings.Builder
	cmd.Stderr = &log
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	require.NoError(t, errors.Join(toBrowser.Close(), fromBrowser.Close()))
	b := &browser{in: in, waiting: map[int]chan<- answer{}, changed: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(out)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.call(ctx, "", "Browser.close", nil, nil); err != nil {
			t.Logf("closing the browser: %v; it said:\n%s", err, log.String())
			_ = cmd.Process.Kill()
		}
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Logf("the browser: %v", err)
		}
		<-read
		_ = out.Close()
	})
	return b
}

// read takes apart what the browser writes, until it ends.
func (b *browser) read(out io.Reader) {
	messages := bufio.NewReader(out)
	for {
		raw, err := messages.ReadBytes(0)
		var m struct {
			ID        int
			SessionID string
			Method    string
			Params    json.RawMessage
			answer
		}
		if err == nil {
			err = json.Unmarshal(raw[:len(raw)-1], &m)
		}
		b.mu.Lock()
		switch {
		case err != nil:
			b.ended = fmt.Errorf("the browser ended: %w", err)
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = nil
		case m.Method != "":
			b.events = append(b.events, event{m.SessionID, m.Method, m.Params})
		case b.waiting[m.ID] != nil:
			b.waiting[m.ID] <- m.answer // there is room for one
			delete(b.waiting, m.ID)
		}
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// call has a page, or without a session the browser, do something.
func (b *browser) call(ctx context.Context, session, method string, params, result any) error {
	c := make(chan answer, 1)
	b.mu.Lock()
	if b.ended != nil {
		b.mu.Unlock()
		return b.ended
	}
	b.last++
	id := b.last
	b.waiting[id] = c
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(raw, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case a, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser ended", method)
		case a.Error != nil:
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
	}
	return nil
}

// tab is a page of a browser, with what it requested and complained of.
type tab struct {
	*browser
	t       *testing.T
	session string
	seen    int
}

func (b *browser) open(t *testing.T) *tab {
	t.Helper()
	p := &tab{browser: b, t: t}
	var target struct{ TargetID string }
	p.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Audits"} {
		p.do(domain+".enable", nil, nil)
	}
	t.Cleanup(func() {
		if err := b.call(context.Background(), "", "Target.closeTarget", map[string]any{"targetId": target.TargetID}, nil); err != nil {
			t.Errorf("closing the page: %v", err)
		}
	})
	return p
}

// patience bounds a call: a browser that hangs fails the test, not the run.
const patience = time.Minute

func (p *tab) do(method string, params, result any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	require.NoError(p.t, p.call(ctx, p.session, method, params, result))
}

// view sets what the page is shown on: scheme is light or dark, or print.
func (p *tab) view(width, height int, scheme string) {
	p.t.Helper()
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	media, feature := "screen", scheme
	if scheme == "print" {
		media, feature = "print", "dark" // paper is light whatever the screen is
	}
	p.do("Emulation.setEmulatedMedia", map[string]any{"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": feature}}}, nil)
}

// load opens a file and waits until all of it is there.
func (p *tab) load(path string) {
	p.t.Helper()
	var navigated struct{ ErrorText string }
	p.do("Page.navigate", map[string]any{"url": "file://" + path}, &navigated)
	require.Empty(p.t, navigated.ErrorText)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for {
		p.mu.Lock()
		changed, events, ended := p.changed, p.events[p.seen:], p.ended
		p.mu.Unlock()
		require.NoError(p.t, ended)
		for _, e := range events {
			p.seen++
			if e.Session == p.session && e.Method == "Page.loadEventFired" {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.NoError(p.t, ctx.Err(), "the page does not load")
		}
	}
}

// evaluate returns the value of a script, for the page's own policy forbids the
// page scripts, not its debugger.
func (p *tab) evaluate(script string, result any) {
	p.t.Helper()
	var got struct {
		Result struct{ Value json.RawMessage }
		// ExceptionDetails is there if the script threw.
		ExceptionDetails json.RawMessage
	}
	p.do("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &got)
	require.Empty(p.t, string(got.ExceptionDetails))
	if result != nil {
		require.NoError(p.t, json.Unmarshal(got.Result.Value, result), "%s", got.Result.Value)
	}
}

// screenshot returns a PNG of what is in view.
func (p *tab) screenshot() []byte {
	p.t.Helper()
	var shot struct{ Data []byte }
	p.do("Page.captureScreenshot", map[string]any{"format": "png", "optimizeForSpeed": true}, &shot)
	return shot.Data
}

// complaints are the errors and warnings of the console, violations of the
// page's policy, exceptions and issues.
func (p *tab) complaints() []string {
	return p.received("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded")
}

// requests are the addresses that were asked for.
func (p *tab) requests() []string {
	var out []string
	for _, raw := range p.received("Network.requestWillBeSent") {
		var sent struct{ Request struct{ URL string } }
		require.NoError(p.t, json.Unmarshal([]byte(raw), &sent))
		out = append(out, sent.Request.URL)
	}
	return out
}

func (p *tab) received(methods ...string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, e := range p.events {
		for _, m := range methods {
			if e.Session == p.session && e.Method == m {
				out = append(out, string(e.Params))
			}
		}
	}
	return out
}
