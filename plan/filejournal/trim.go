package filejournal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate/plan/journal"
)

// newSuffix is what a shorter journal is called until it is in place.
const newSuffix = ".trimmed"

// trim replaces a journal that has grown too long, f, by one without what t drops,
// and reports whether it has. Only who has the lock may call it. A file whose owner
// the new one could not have stays as it is.
func (j *Journal) trim(ctx context.Context, f *os.File, t *journal.Trim) (bool, error) {
	path, err := filepath.EvalSymlinks(j.Path) // the file is replaced, not what leads to it
	if err != nil {
		return false, err
	}
	remnant := path + newSuffix
	j.at("remove a remnant")
	if err := os.Remove(remnant); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if t.Drops() == 0 {
		return false, nil
	}
	like, err := f.Stat()
	if err != nil {
		return false, err
	}
	j.at("create")
	shorter, err := os.OpenFile(remnant, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	mayReplace := likeOwner(shorter, like)
	if mayReplace {
		err = j.fill(ctx, shorter, like, t)
	}
	err = errors.Join(err, shorter.Close())
	if mayReplace && err == nil {
		j.at("rename")
		err = os.Rename(remnant, path)
	}
	if err != nil || !mayReplace {
		err = errors.Join(err, os.Remove(remnant))
		if err != nil {
			err = fmt.Errorf("trim journal %s: %w", j.Path, err)
		}
		return false, err
	}
	j.at("sync directory")
	return true, syncDir(filepath.Dir(path))
}

// fill writes what stays, byte for byte, and synchronises it.
func (j *Journal) fill(ctx context.Context, shorter *os.File, like os.FileInfo, t *journal.Trim) error {
	if err := shorter.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	out := bufio.NewWriter(shorter)
	j.at("write")
	_, _ = out.WriteString(header) // Flush returns the first error
	n := 0
	for l, err := range j.lines(ctx) {
		if err != nil {
			return err
		}
		if t.Keeps(n, l.record) {
			_, _ = out.Write(l.text) // as above
		}
		n++
	}
	j.at("flush")
	if err := out.Flush(); err != nil {
		return err
	}
	j.at("sync")
	return shorter.Sync()
}

func (j *Journal) at(op string) {
	if j.before != nil {
		j.before(op)
	}
}
