package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// fakeBinaries replaces a build, whose result does not matter here.
func fakeBinaries(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	paths := map[string]string{}
	for _, name := range []string{"kube-apiserver", "coredns", "pause", "web"} {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], []byte("binary of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func TestArchiveIsReproducible(t *testing.T) {
	b := Builder{Binaries: fakeBinaries(t)}
	var images []image
	for _, tag := range []string{"registry.k8s.io/coredns/coredns:v1", "registry.k8s.io/pause:3", WebImage} {
		img, err := b.image(tag)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	var archives [2][]byte
	for i := range archives {
		file := filepath.Join(t.TempDir(), "a.tar")
		if err := writeArchive(file, images); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = content
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same images differ")
	}
	index := tarFile(t, archives[0], "index.json")
	for _, img := range images {
		if !bytes.Contains(index, []byte(img.tag)) {
			t.Errorf("index.json does not name %s: %s", img.tag, index)
		}
	}
}

func tarFile(t *testing.T, archive []byte, name string) []byte {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("no %s in the archive", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
}

func TestLayerHasParentsBeforeFiles(t *testing.T) {
	bins := fakeBinaries(t)
	layer, err := layerTar([]entry{
		{path: "/usr/sbin/iptables", link: "xtables-nft-multi"},
		{path: "/usr/local/bin/kube-apiserver", source: bins["kube-apiserver"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s has the time %s", h.Name, h.ModTime)
		}
	}
	want := []string{"usr/", "usr/local/", "usr/local/bin/", "usr/sbin/", "usr/local/bin/kube-apiserver", "usr/sbin/iptables"}
	if !slices.Equal(names, want) {
		t.Errorf("layer holds %q, want %q", names, want)
	}
}

func TestControlPlaneImagesAreApart(t *testing.T) {
	const apiserver, pause = "registry.k8s.io/kube-apiserver:v1.37.2", "registry.k8s.io/pause:3.10.2"
	a := sortTags([]string{apiserver, pause, WebImage})
	if !slices.Equal(a.ControlPlane.Tags, []string{apiserver}) || !slices.Equal(a.Node.Tags, []string{pause, WebImage}) || a.Pause != pause {
		t.Errorf("sorted to %+v", a)
	}
}

func TestImageWithoutBinary(t *testing.T) {
	b := Builder{Binaries: fakeBinaries(t)}
	if _, err := b.image("registry.k8s.io/kube-scheduler:v1.37.2"); err == nil {
		t.Error("an image without a binary is accepted")
	}
}

func TestWantedNeedsKubeadm(t *testing.T) {
	b := Builder{Binaries: map[string]string{"kubeadm": filepath.Join(t.TempDir(), "none")}}
	if _, err := b.wanted(context.Background()); err == nil {
		t.Error("no error without kubeadm")
	}
}

// TestLibrariesOfThisMachine follows a real program's libraries, down to the
// loader.
func TestLibrariesOfThisMachine(t *testing.T) {
	program, err := filepath.EvalSymlinks("/bin/ls")
	if err != nil {
		t.Skip(err)
	}
	entries, err := withLibraries("/", []string{program})
	if err != nil {
		t.Skipf("this machine keeps libraries elsewhere: %v", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, filepath.Base(e.path))
	}
	if !slices.Contains(names, "libc.so.6") || len(names) < 3 {
		t.Errorf("found only %q", names)
	}
}
