package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// marker lists what render wrote, one path a line: it marks that the directory
// is render's, and what to take away when a node or a file is no longer.
const marker = ".quorate-render"

const markerHead = "# Written by Quorate's render: it replaces and removes the files listed here."

// occupiedError refuses a directory that holds somebody else's files.
type occupiedError struct{ dir string }

func (e *occupiedError) Error() string {
	return fmt.Sprintf("%s holds files that render did not write: use another directory, or -force to write beside them", e.dir)
}

// tree writes below one directory and, by os.Root, nowhere else, whatever
// symbolic links are in it.
type tree struct {
	root *os.Root
	// before is what an earlier run wrote.
	before []string
}

func openTree(dir string, force bool) (*tree, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ours := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == marker })
	if len(entries) > 0 && !ours && !force {
		return nil, &occupiedError{dir}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- directories that hold secrets are 0700
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root}
	if ours {
		if t.before, err = t.readMarker(); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func (t *tree) close() { _ = t.root.Close() } // nothing is written through the handle itself

func (t *tree) readMarker() ([]string, error) {
	b, err := t.root.ReadFile(marker)
	if err != nil {
		return nil, err
	}
	var paths []string
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if p := lines.Text(); !strings.HasPrefix(p, "#") && filepath.IsLocal(p) {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// write puts every file in its place, each whole or not at all, and removes
// what an earlier run wrote and this one does not. An interrupted write is
// finished by the next.
func (t *tree) write(ctx context.Context, nodes map[string][]quorate.File) error {
	files := map[string]quorate.File{}
	for node, list := range nodes {
		for _, f := range list {
			files[path.Join(node, f.Path)] = f
		}
	}
	paths := slices.Sorted(maps.Keys(files))
	if err := t.mark(append(slices.Clone(t.before), paths...)); err != nil {
		return err
	}
	if err := t.makeDirs(files); err != nil {
		return err
	}
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.replace(p, files[p].Mode, files[p].Content.Bytes()); err != nil {
			return err
		}
	}
	for _, p := range t.before {
		if _, still := files[p]; !still {
			if err := t.remove(p); err != nil {
				return err
			}
		}
	}
	return t.mark(paths)
}

func (t *tree) mark(paths []string) error {
	slices.Sort(paths)
	lines := append([]string{markerHead}, slices.Compact(paths)...)
	return t.replace(marker, 0o644, []byte(strings.Join(lines, "\n")+"\n"))
}

// makeDirs makes the directories; those that hold a file only its owner may
// read are the owner's alone.
func (t *tree) makeDirs(files map[string]quorate.File) error {
	modes := map[string]fs.FileMode{}
	for p, f := range files {
		dir := path.Dir(p)
		if modes[dir] == 0 {
			modes[dir] = 0o755
		}
		if f.Mode.Perm()&0o077 == 0 {
			modes[dir] = 0o700
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(modes)) {
		if err := t.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := t.root.Chmod(dir, modes[dir]); err != nil {
			return err
		}
	}
	return nil
}

// replace writes beside the file and renames; the bytes are never in a file
// of a wider mode.
func (t *tree) replace(p string, mode fs.FileMode, content []byte) error {
	part := p + ".render-part"
	if err := t.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := t.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode.Perm()), f.Close()); err == nil {
		err = t.root.Rename(part, p)
	}
	if err != nil {
		return errors.Join(err, t.root.Remove(part))
	}
	return nil
}

// remove takes a file away, and the directories that it leaves empty.
func (t *tree) remove(p string) error {
	if err := t.root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if t.root.Remove(dir) != nil {
			return nil //nolint:nilerr // not empty: it holds what is still wanted
		}
	}
	return nil
}
