package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// nameAnnotation is where containerd's importer looks for an image's tag.
const nameAnnotation = "io.containerd.image.name"

// writeArchive writes images as a tar of an OCI image layout, see the image
// specification's image-layout.md.
func writeArchive(file string, images []image) (err error) {
	dir := file + ".layout"
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	for _, i := range images {
		img, err := i.build()
		if err != nil {
			return fmt.Errorf("%s: %w", i.tag, err)
		}
		platform := v1.Platform{OS: "linux", Architecture: arch}
		err = l.AppendImage(img, layout.WithPlatform(platform),
			layout.WithAnnotations(map[string]string{nameAnnotation: i.tag}))
		if err != nil {
			return fmt.Errorf("%s: %w", i.tag, err)
		}
	}
	return tarDir(file, dir)
}

// tarDir writes the files below a directory in the order of their names,
// without times and owners.
func tarDir(file, dir string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return addFile(w, dir, path)
	})
	return errors.Join(err, w.Close())
}

func addFile(w *tar.Writer, dir, path string) error {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.ToSlash(name), Size: info.Size(), Mode: 0o644, Format: tar.FormatPAX}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}
