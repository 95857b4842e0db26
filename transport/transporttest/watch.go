package transporttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/transport"
)

// watcher sees to it that every call of the transport under test returns. One
// that does not is named, and the suite goes on without it.
type watcher struct {
	t     *testing.T // of the whole suite
	limit time.Duration
}

// watched is what a call returned, or an error in its place.
func watched[T any](w *watcher, what string, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := call()
		done <- result{value, err}
	}()
	timer := time.NewTimer(w.limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		var none T
		err := fmt.Errorf("%s has not returned for %v, and every ctx of the suite has ended by then", what, w.limit)
		w.t.Error(err)
		return none, err
	}
}

// do is watched for what returns an error alone.
func (w *watcher) do(what string, call func() error) error {
	_, err := watched(w, what, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// conn is a watched Conn. Its abilities are watched too: see filer, gatherer
// and dialer.
type conn struct {
	transport.Conn
	w *watcher
}

func (c *conn) Unwrap() transport.Conn { return c.Conn }

func (c *conn) Run(ctx context.Context, cmd transport.Cmd) error {
	return c.w.do(fmt.Sprintf("Run of %.200q", cmd.Argv), func() error { return c.Conn.Run(ctx, cmd) })
}

func (c *conn) Close() error { return c.w.do("Close", c.Conn.Close) }

func (c *conn) filer() transport.Filer {
	f := transport.FilesOf(c)
	if batch, ok := f.(transport.BatchReader); ok {
		return &batchFiler{filer{f, c.w}, batch}
	}
	return &filer{f, c.w}
}

// filer is a watched Filer.
type filer struct {
	to transport.Filer
	w  *watcher
}

func (f *filer) Stat(ctx context.Context, paths ...string) ([]transport.FileInfo, error) {
	return watched(f.w, "Stat", func() ([]transport.FileInfo, error) { return f.to.Stat(ctx, paths...) })
}

func (f *filer) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	return watched(f.w, "Read of "+path, func() ([]byte, error) { return f.to.Read(ctx, path, limit) })
}

func (f *filer) Write(ctx context.Context, files ...transport.File) error {
	return f.w.do(fmt.Sprintf("Write of %d files", len(files)), func() error { return f.to.Write(ctx, files...) })
}

func (f *filer) Upload(ctx context.Context, file transport.File, r io.Reader) error {
	return f.w.do("Upload of "+file.Path, func() error { return f.to.Upload(ctx, file, r) })
}

func (f *filer) Remove(ctx context.Context, paths ...string) error {
	return f.w.do("Remove", func() error { return f.to.Remove(ctx, paths...) })
}

// batchFiler is a filer that reads many.
type batchFiler struct {
	filer
	batch transport.BatchReader
}

func (f *batchFiler) ReadAll(ctx context.Context, limit int64, paths ...string) ([]transport.Data, error) {
	return watched(f.w, "ReadAll", func() ([]transport.Data, error) { return f.batch.ReadAll(ctx, limit, paths...) })
}

// gatherer is a watched Gatherer.
type gatherer struct {
	to transport.Gatherer
	w  *watcher
}

func (c *conn) gatherer() transport.Gatherer { return &gatherer{transport.GathererOf(c), c.w} }

func (g *gatherer) Gather(ctx context.Context, paths []string, queries []transport.Query) (transport.Gathered, error) {
	return watched(g.w, fmt.Sprintf("Gather of %d files and %d queries", len(paths), len(queries)),
		func() (transport.Gathered, error) { return g.to.Gather(ctx, paths, queries) })
}

// dialer is a watched Dialer.
type dialer struct {
	to transport.Dialer
	w  *watcher
}

func (c *conn) dialer() (transport.Dialer, bool) {
	d, ok := transport.As[transport.Dialer](c.Conn)
	return &dialer{d, c.w}, ok
}

func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return watched(d.w, "DialContext to "+network+" "+addr, func() (net.Conn, error) { return d.to.DialContext(ctx, network, addr) })
}
