package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/build"
	"github.com/quorate-dev/quorate/examples/lab/internal/cachedir"
	"github.com/quorate-dev/quorate/examples/lab/internal/images"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/examples/lab/internal/payload"
)

// options of a lab.
type options struct {
	spec machines.Spec
	// balancer between the VIP and the API servers, if any.
	balancer quorate.LoadBalancer
	// dir is the state directory, cache the directory for everything that is
	// kept across runs.
	dir, cache string
	// phase is called for each thing that took time.
	phase func(name string, took time.Duration)
}

// prepared is everything that hosts are made from.
type prepared struct {
	root     string
	binaries map[string]string
	archives images.Archives
	// layer is the directory that lies over root on every host.
	layer string
}

// timed runs one phase and reports how long it took.
func (o options) timed(name string, run func() error) error {
	start := time.Now()
	if err := run(); err != nil {
		return err
	}
	o.phase(name, time.Since(start))
	return nil
}

// prepare makes, or finds in the cache, what hosts are made from. Cold, it
// takes about fifteen minutes on two cores, warm less than a second.
func prepare(ctx context.Context, o options) (p prepared, err error) {
	err = o.timed("packages of this machine", func() error {
		_, err := machines.InstallPackages(ctx)
		return err
	})
	if err != nil {
		return p, err
	}
	err = o.timed("root file system", func() error {
		p.root, err = machines.RootFS(ctx, o.cache)
		return err
	})
	if err != nil {
		return p, err
	}
	err = o.timed("binaries", func() error {
		b := build.Builder{
			Cache: filepath.Join(o.cache, "bin"),
			Built: func(set string, took time.Duration) { o.phase("  "+set, took) },
		}
		p.binaries, err = b.All(ctx)
		return err
	})
	if err != nil {
		return p, err
	}
	err = o.timed("images", func() error {
		b := images.Builder{
			Cache: filepath.Join(o.cache, "images"), Binaries: p.binaries,
			Root: p.root, Kubernetes: build.Default.Kubernetes,
		}
		p.archives, err = b.All(ctx)
		return err
	})
	if err != nil {
		return p, err
	}
	p.layer, err = writeLayer(o.cache, p)
	return p, err
}

// writeLayer lays out what a host has beyond Debian, once for the same files.
func writeLayer(cache string, p prepared) (string, error) {
	files, err := payload.Common(payload.Config{
		Binaries:       p.binaries,
		PauseImage:     p.archives.Pause,
		SystemdCgroups: cgroupV2(),
	})
	if err != nil {
		return "", err
	}
	h := sha256.New() // writing to a hash never fails
	for _, f := range files {
		_, _ = fmt.Fprintf(h, "%s %o %s %s %s\n", f.Path, f.Mode, f.Link, f.Source, f.Content)
	}
	dir, err := filepath.Abs(filepath.Join(cache, "layer-"+hex.EncodeToString(h.Sum(nil)[:6])))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp := dir + ".partial"
	if err := errors.Join(os.RemoveAll(tmp), machines.WriteTree(tmp, files)); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

// cgroupV2 reports whether this machine has the unified hierarchy alone.
func cgroupV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// bootHosts brings up hosts that are ready for a cluster, and writes the
// cluster's description beside their SSH keys.
func bootHosts(ctx context.Context, o options, p prepared) (l *machines.Lab, err error) {
	// New hosts have nothing to do with an earlier cluster's keys.
	if err := removeLab(ctx, o.dir); err != nil {
		return nil, err
	}
	err = o.timed("boot "+describe(o.spec), func() error {
		l, err = machines.Up(ctx, machines.Config{
			Spec: o.spec, Dir: o.dir, Root: p.root, Layer: p.layer,
			Files: payload.ForHost,
			Binds: map[string]string{p.archives.Dir: payload.ImageDir},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := writeCluster(ctx, o, l, p); err != nil {
		return nil, errors.Join(err, removeLab(context.WithoutCancel(ctx), o.dir))
	}
	return l, nil
}

// removeLab removes the hosts and what else this program keeps in the lab's
// directory: the description, the kubeconfig, and the cluster's keys.
func removeLab(ctx context.Context, dir string) error {
	if err := machines.Down(ctx, dir); err != nil {
		return err
	}
	for _, name := range []string{clusterFile, imagesFile, kubeconfigFile, keysDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	_ = os.Remove(dir) // if nothing else is in it
	return nil
}

func describe(s machines.Spec) string {
	var names []string
	for _, h := range s.Hosts() {
		names = append(names, h.Name)
	}
	return strings.Join(names, " ")
}

// defaultCache is where everything is kept unless the command line says
// otherwise.
func defaultCache() (string, error) { return cachedir.Default() }
