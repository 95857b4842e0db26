package machines

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is one file of a host's file system.
type File struct {
	// Path is absolute in the host.
	Path string
	// Mode holds the permission bits. Default 0644.
	Mode fs.FileMode
	// Content of a regular file that is small.
	Content []byte
	// Link, when set, makes a symbolic link with this target.
	Link string
	// Source, when set, is a file of the machine to hard-link, or to copy when
	// it lies on another file system. Hosts never write to it: they see it
	// through an overlay.
	Source string
}

// WriteTree writes files below a directory, parents included. What is in the
// way is replaced.
func WriteTree(dir string, files []File) error {
	for _, f := range files {
		if err := f.write(filepath.Join(dir, f.Path)); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func (f File) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if f.Link != "" {
		return os.Symlink(f.Link, path)
	}
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	if f.Source != "" {
		return linkOrCopy(f.Source, path, mode)
	}
	return writeFile(path, f.Content, mode)
}

// writeFile creates the file with its mode from the first byte, whatever the umask.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	if chmodErr := out.Chmod(mode); err == nil {
		err = chmodErr
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}

func linkOrCopy(source, path string, mode fs.FileMode) error {
	if os.Link(source, path) == nil {
		return nil
	}
	b, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return writeFile(path, b, mode)
}
