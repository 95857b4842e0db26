package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// entry is one file of a layer: a copy of source, or a symbolic link.
type entry struct {
	path   string
	source string
	link   string
	mode   fs.FileMode
}

// layerTar returns a layer with the entries and their parent directories, by
// path, root's, and without times: same entries, same bytes.
func layerTar(entries []entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range parents(entries) {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, Format: tar.FormatPAX})
		if err != nil {
			return nil, err
		}
	}
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return strings.Compare(a.path, b.path) })
	for _, e := range sorted {
		if err := e.write(w); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (e entry) write(w *tar.Writer) error {
	header := &tar.Header{Name: e.path[1:], Format: tar.FormatPAX}
	if e.link != "" {
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, e.link, 0o777
		return w.WriteHeader(header)
	}
	content, err := os.ReadFile(e.source)
	if err != nil {
		return err
	}
	header.Typeflag, header.Size, header.Mode = tar.TypeReg, int64(len(content)), int64(cmp.Or(e.mode, 0o755))
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// parents returns every directory above the entries but the root, parents first.
func parents(entries []entry) []string {
	dirs := map[string]bool{}
	for _, e := range entries {
		for dir := path.Dir(e.path); dir != "/"; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}
