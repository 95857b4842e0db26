package pki_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	cfssllog "github.com/cloudflare/cfssl/log"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
)

// Importing pki, and using it, changes nothing that the program has one of:
// cfssl's logger is as cfssl leaves it, and yet nothing is written to it.
func TestNoGlobals(t *testing.T) {
	assert.Equal(t, cfssllog.LevelInfo, cfssllog.Level)
	var logged bytes.Buffer
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	b := newBundle(t, clusterOf(3), at(epoch))
	_, err := b.Issue(pki.Request{CommonName: "x", Profile: pki.ProfileClient})
	require.NoError(t, err)
	_, err = pki.CFSSL(clusterOf(3), at(epoch))
	require.NoError(t, err)
	assert.Empty(t, logged.String())

	flag.VisitAll(func(f *flag.Flag) {
		known := f.Name == "update" || strings.HasPrefix(f.Name, "test.") || strings.HasPrefix(f.Name, "rapid.")
		assert.True(t, known, "a flag -%s is registered", f.Name)
	})
	for _, path := range []string{"/", "/debug/pprof/", "/debug/requests", "/debug/vars"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		require.NoError(t, err)
		_, pattern := http.DefaultServeMux.Handler(r)
		assert.Empty(t, pattern, "a handler of %s is registered", path)
	}
}

// counting counts what is read of a file that says it is smaller than it is.
type counting struct {
	fs.FS
	size int64
	read int64
}

func (c *counting) Open(name string) (fs.File, error) {
	if name != "etcd/ca.crt" {
		return c.FS.Open(name)
	}
	return &endless{c}, nil
}

type endless struct{ c *counting }

func (e *endless) Stat() (fs.FileInfo, error) { return e, nil }
func (e *endless) Close() error               { return nil }
func (e *endless) Name() string               { return "ca.crt" }
func (e *endless) Size() int64                { return e.c.size }
func (e *endless) Mode() fs.FileMode          { return 0o600 }
func (e *endless) ModTime() time.Time         { return epoch }
func (e *endless) IsDir() bool                { return false }
func (e *endless) Sys() any                   { return nil }

func (e *endless) Read(p []byte) (int, error) {
	if e.c.read > 64<<20 {
		return 0, io.EOF // a reader without a bound would take for ever otherwise
	}
	e.c.read += int64(len(p))
	return len(p), nil
}

// A file is refused for its size before it is read, and for its length once no
// more can be right.
func TestReadsAreBounded(t *testing.T) {
	for _, c := range []struct{ says, mayRead int64 }{{3 << 30, 0}, {0, 2 << 20}} {
		store := &counting{FS: fsOf(newBundle(t, clusterOf(1), at(epoch)).Store()), size: c.says}
		_, _, err := pki.Load(store, clusterOf(1), at(epoch))
		var file *pki.FileError
		require.ErrorAs(t, err, &file)
		assert.Equal(t, "etcd/ca.crt", file.File)
		assert.ErrorContains(t, err, "too many")
		assert.LessOrEqual(t, store.read, c.mayRead)
	}
}

// Opening a pipe would wait until somebody writes to it.
func TestOnlyRegularFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etcd"), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "etcd", "ca.key"), 0o700))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "etcd", "ca.crt"), 0o600))
	_, _, err := pki.Load(os.DirFS(dir), clusterOf(1), at(epoch))
	assert.ErrorContains(t, err, "etcd/ca.crt: is no regular file")
	assert.ErrorContains(t, err, "etcd/ca.key: is no regular file")
}

// Whoever has only the trust file comes to the same hashes.
func TestCAHashes(t *testing.T) {
	b := newBundle(t, clusterOf(1), at(epoch))
	plane, err := b.ControlPlane(context.Background(), "cp-1")
	require.NoError(t, err)
	trust := content(t, plane, "/etc/kubernetes/pki/ca.crt")
	hashes, err := kubeadm.CAHashes(trust)
	require.NoError(t, err)
	assert.Equal(t, caHashes(t, b), hashes)
	two, err := kubeadm.CAHashes(slices.Concat(trust, pemOf(b.CA(pki.EtcdCA))))
	require.NoError(t, err)
	assert.Equal(t, []string{hashes[0], kubeadm.CAHash(b.CA(pki.EtcdCA))}, two)
	for _, bad := range [][]byte{nil, []byte("x"), append(slices.Clone(trust), 'x'), content(t, plane, "/etc/kubernetes/pki/ca.key")} {
		_, err := kubeadm.CAHashes(bad)
		assert.Error(t, err)
		assert.NotContains(t, err.Error(), "PRIVATE")
	}
}
