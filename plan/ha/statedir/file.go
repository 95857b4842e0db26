package statedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/internal/filelock"
)

// WriteFile puts a file on this machine, such as a kubeconfig or a saved preview:
// the old one, the new one or, if there was none, none is there at whatever moment
// the program or the machine dies. The content is written to .NAME.next beside it,
// 0600 from the first byte and with mode in the end; what a dead program has left
// there, the next WriteFile of the same path removes. The directory must be there.
// A symbolic link is followed; what is no regular file, such as a device, is
// refused.
func WriteFile(ctx context.Context, path string, content quorate.Content, mode fs.FileMode) error {
	return writeFile(ctx, path, content, mode, nil)
}

func writeFile(ctx context.Context, path string, content quorate.Content, mode fs.FileMode, before func(op string) error) (err error) {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir, name := filepath.Split(filepath.Clean(path))
	root, err := os.OpenRoot(filepath.Join(dir, "."))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return &fs.PathError{Op: "write", Path: path, Err: fmt.Errorf("is no regular file (%s)", info.Mode())}
	}
	d := &disk{dir: filepath.Clean(dir), root: root, before: before}
	temp := "." + name + ".next"
	if err := d.stage(temp, quorate.File{Mode: mode, Content: content}, name); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return d.sync(".")
}

// stage writes a file that is locked meanwhile, so that of two writers the second
// is refused, and renames it.
func (d *disk) stage(temp string, f quorate.File, name string) (err error) {
	if err := d.step("create", temp); err != nil {
		return err
	}
	if info, err := d.root.Lstat(temp); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is in the way: remove it", d.path(temp))
	}
	w, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	// Whoever has made it for us to write into can read what is written.
	info, err := w.Stat()
	if err != nil {
		return err
	}
	if whose := foreign(info); whose != "" {
		return fmt.Errorf("%s is in the way, and %s: remove it", d.path(temp), whose)
	}
	locked, err := filelock.Try(w)
	if err == nil && locked {
		// Whoever was faster has renamed it.
		locked, err = filelock.Is(w, d.path(temp))
	}
	if err != nil {
		return err
	}
	if !locked {
		return errors.New("another program is writing it")
	}
	defer func() {
		if err != nil && d.step("remove", temp) == nil {
			_ = d.root.Remove(temp)
		}
	}()
	if err := errors.Join(w.Chmod(0o600), w.Truncate(0)); err != nil {
		return err
	}
	if err := d.fill(w, temp, f); err != nil {
		return err
	}
	return d.rename(temp, name)
}
