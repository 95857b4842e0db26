// Package operator is what the example programs share: reading a cluster
// description, and keeping between runs what must not be made twice, the
// authorities above all.
package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/clusterfile"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/vip"
)

// ReadCluster reads a description and refuses it with every problem at once.
func ReadCluster(path string) (quorate.Cluster, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return quorate.Cluster{}, err
	}
	c, err := clusterfile.Load(data)
	if err != nil {
		return quorate.Cluster{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Config makes a recipe's input from a description and a state directory. What
// the directory lacks is made and kept there: certificates and keys below pki,
// the bootstrap token, keepalived's password. Whoever reads the directory can
// act as the cluster; it is 0700. An empty dir keeps nothing.
func Config(ctx context.Context, c quorate.Cluster, dir string) (ha.Config, error) {
	bundle, err := certificates(ctx, c, dir)
	if err != nil {
		return ha.Config{}, err
	}
	cfg := ha.Config{Cluster: c, Certs: bundle}
	token, err := kept(ctx, dir, "token", func() (quorate.Content, error) { return kubeadm.NewToken(rand.Reader) })
	if err != nil {
		return ha.Config{}, err
	}
	cfg.Kubeadm.Token = token
	if c.Endpoint.External {
		return cfg, nil
	}
	cfg.VIPAuth, err = kept(ctx, dir, "vip-auth", func() (quorate.Content, error) { return vip.NewAuth(rand.Reader) })
	return cfg, err
}

func certificates(ctx context.Context, c quorate.Cluster, dir string) (*pki.Bundle, error) {
	if dir == "" {
		return pki.New(c, pki.Config{})
	}
	store := filepath.Join(dir, "pki")
	if err := os.MkdirAll(store, 0o700); err != nil {
		return nil, err
	}
	bundle, changes, err := pki.Load(os.DirFS(store), c, pki.Config{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store, err)
	}
	if len(changes.Issued) == 0 {
		return bundle, nil
	}
	return bundle, write(ctx, store, bundle.Store()...)
}

// kept reads a secret from the state directory, or makes and keeps it.
func kept(ctx context.Context, dir, name string, create func() (quorate.Content, error)) (quorate.Content, error) {
	if dir == "" {
		return create()
	}
	b, err := os.ReadFile(filepath.Join(dir, name)) // #nosec G304 -- the operator names the directory
	if err == nil {
		return quorate.Sensitive(b), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return quorate.Content{}, err
	}
	made, err := create()
	if err != nil {
		return quorate.Content{}, err
	}
	return made, write(ctx, dir, quorate.File{Path: name, Mode: 0o600, Content: made})
}

// write puts files below dir, each whole or not at all.
func write(ctx context.Context, dir string, files ...quorate.File) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	out := make([]transport.File, 0, len(files))
	for _, f := range files {
		path := filepath.Join(root, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		out = append(out, transport.File{Path: path, Mode: f.Mode, Data: transport.Bytes(f.Content.Bytes())})
	}
	conn, err := new(local.Transport).Dial(ctx, "localhost")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing runs over it any more
	return transport.FilesOf(conn).Write(ctx, out...)
}

// Save writes one secret file, 0600, whole or not at all.
func Save(ctx context.Context, path string, content quorate.Content) error {
	return write(ctx, filepath.Dir(path), quorate.File{Path: filepath.Base(path), Mode: 0o600, Content: content})
}
