// Package images writes the container images of a cluster as archives that
// "ctr images import" takes: one static binary each, tagged as kubeadm wants
// for them. Same binaries, same bytes.
package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WebImage is the tag of the lab's own workload.
const WebImage = "quorate.test/web:v1"

// Builder writes images. Every field is required.
type Builder struct {
	// Cache is the directory that holds finished archives.
	Cache string
	// Binaries by name, as package build returns them.
	Binaries map[string]string
	// Root is the hosts' root file system, from which kube-proxy's image takes
	// nft, iptables and their libraries.
	Root string
	// Kubernetes version, as in v1.37.2.
	Kubernetes string
}

// Archives are the finished images.
type Archives struct {
	// Dir holds the archives and nothing else.
	Dir string
	// Pause is the tag of the pods' sandbox.
	Pause string
	// Node is what every node needs, ControlPlane what a control plane needs
	// beyond it.
	Node, ControlPlane Archive
}

// Archive is one file with images.
type Archive struct {
	// File is its name in Archives.Dir.
	File string
	// Tags of the images in it, in the order they are stored.
	Tags []string
}

// image is one image before it is written.
type image struct {
	tag        string
	entrypoint []string
	entries    []entry
}

// All returns the archives, writing them unless the cache has them.
func (b Builder) All(ctx context.Context) (Archives, error) {
	tags, err := b.wanted(ctx)
	if err != nil {
		return Archives{}, err
	}
	a := sortTags(append(tags, WebImage))
	cache, err := filepath.Abs(b.Cache)
	if err != nil {
		return Archives{}, err
	}
	a.Dir = filepath.Join(cache, b.key(a))
	if _, err := os.Stat(a.Dir); err == nil {
		return a, nil
	}
	if err := b.writeAll(a); err != nil {
		return Archives{}, fmt.Errorf("write images: %w", err)
	}
	return a, nil
}

// sortTags says which image goes into which archive.
func sortTags(tags []string) Archives {
	a := Archives{Node: Archive{File: "node.tar"}, ControlPlane: Archive{File: "control-plane.tar"}}
	for _, t := range tags {
		switch component(t) {
		case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
			a.ControlPlane.Tags = append(a.ControlPlane.Tags, t)
			continue
		case "pause":
			a.Pause = t
		}
		a.Node.Tags = append(a.Node.Tags, t)
	}
	return a
}

// wanted reads from kubeadm itself which tags it will look for. etcd runs outside
// containers here and is left out.
func (b Builder) wanted(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.Binaries["kubeadm"], "config", "images", "list", "--kubernetes-version", b.Kubernetes)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("ask kubeadm for its images: %w", err)
	}
	tags := slices.DeleteFunc(strings.Fields(string(out)), func(t string) bool { return component(t) == "etcd" })
	return tags, nil
}

// component is the last part of an image's name.
func component(tag string) string {
	repository, _, _ := strings.Cut(path.Base(tag), ":")
	return repository
}

// key names what the archives depend on: the binaries' and the root's paths
// hold hashes of their own inputs.
func (b Builder) key(a Archives) string {
	h := sha256.New() // writing to a hash never fails
	_, _ = fmt.Fprintln(h, format, b.Root)
	for _, archive := range []Archive{a.Node, a.ControlPlane} {
		for _, t := range archive.Tags {
			_, _ = fmt.Fprintln(h, archive.File, t, b.Binaries[component(t)])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// arch is the hosts' own: they share this machine's processors.
const arch = runtime.GOARCH

// format changes when the same inputs become other archives.
const format = 1

func (b Builder) writeAll(a Archives) (err error) {
	if err := os.MkdirAll(filepath.Dir(a.Dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(a.Dir), ".writing-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	for _, archive := range []Archive{a.Node, a.ControlPlane} {
		var images []image
		for _, tag := range archive.Tags {
			img, err := b.image(tag)
			if err != nil {
				return err
			}
			images = append(images, img)
		}
		if err := writeArchive(filepath.Join(tmp, archive.File), images); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, a.Dir)
}

// image says what is in an image.
func (b Builder) image(tag string) (image, error) {
	what := component(tag)
	binary, ok := b.Binaries[what]
	if !ok {
		return image{}, fmt.Errorf("no binary for image %s", tag)
	}
	img := image{tag: tag}
	at := "/" + what // where the upstream images of these have it, too
	switch what {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		at = "/usr/local/bin/" + what
	case "kube-proxy":
		at = "/usr/local/bin/" + what
		tools, err := packetFilters(b.Root)
		if err != nil {
			return image{}, err
		}
		img.entries = tools
	}
	img.entrypoint = []string{at}
	img.entries = append(img.entries, entry{path: at, source: binary})
	return img, nil
}

// packetFilters are the programs that kube-proxy runs, with their libraries
// and those of iptables' plugins: without the latter every node is Ready and
// every Service is dead.
func packetFilters(root string) ([]entry, error) {
	files := []string{"/usr/sbin/nft", "/usr/sbin/xtables-nft-multi", "/usr/sbin/conntrack"}
	plugins, err := filepath.Glob(filepath.Join(root, "usr/lib/*/xtables/*.so"))
	if err != nil {
		return nil, err
	}
	if len(plugins) == 0 {
		return nil, errors.New("no iptables plugins in the root file system")
	}
	for _, p := range plugins {
		files = append(files, strings.TrimPrefix(p, filepath.Clean(root)))
	}
	entries, err := withLibraries(root, files)
	if err != nil {
		return nil, err
	}
	for _, command := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			entries = append(entries, entry{path: "/usr/sbin/" + command + suffix, link: "xtables-nft-multi"})
		}
	}
	return entries, nil
}

// build makes the image with one layer, uncompressed: the archives never
// travel, and unpacking is what costs time.
func (i image) build() (v1.Image, error) {
	layer, err := layerTar(i.entries)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), static.NewLayer(layer, types.OCIUncompressedLayer))
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{
		Entrypoint: i.entrypoint,
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		WorkingDir: "/",
	}
	return mutate.ConfigFile(img, config)
}
