package filejournal

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate/plan"
)

// lock is a file that says who holds it and is locked by the kernel for as long
// as they live. Who comes finds one of three things:
//
//   - No file. A file that is written and locked already is given the name, by a
//     link, which fails if somebody else was faster.
//   - A file that is locked. Its content was complete before it had its name, so
//     the holder can be read.
//   - A file that nobody has locked: its holder is dead. Who locks it now, and
//     finds it still under its name, is the only one that may replace it.
type lock struct {
	path string
	file *os.File
}

// maxHolder bounds what is read of who holds a lock.
const maxHolder = 64 << 10

// acquire takes the lock or gives a *plan.LockedError.
func acquire(ctx context.Context, path string, h plan.Holder) (*lock, error) {
	mine, err := write(path, h)
	if err != nil {
		return nil, err
	}
	won, err := mine.contend(ctx)
	// Its first name goes in any case; with the lock it has another.
	if removeErr := os.Remove(mine.file.Name()); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	if err != nil || !won {
		return nil, errors.Join(err, mine.file.Close())
	}
	return mine, nil
}

// write makes a locked file beside the path.
func write(path string, h plan.Holder) (*lock, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		_, err = tryLock(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &lock{path: path, file: f}, nil
}

// contend gives the file its name. Each round somebody else's lock has come or
// gone in between.
func (l *lock) contend(ctx context.Context) (bool, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		err := os.Link(l.file.Name(), l.path)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		taken, err := l.replaceDead()
		if taken || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return taken, err
		}
	}
}

// replaceDead puts the file in the place of one whose holder is dead. A holder
// that lives is a *plan.LockedError.
func (l *lock) replaceDead() (bool, error) {
	if err := regular(l.path); err != nil {
		return false, err
	}
	old, err := os.Open(l.path)
	if err != nil {
		return false, err
	}
	defer func() { _ = old.Close() }() // and with it the dead one's lock
	dead, err := tryLock(old)
	if err != nil {
		return false, err
	}
	// It may have been given back, or replaced, since it was opened.
	if there, err := stands(old, l.path); err != nil || !there {
		return false, err
	}
	if !dead {
		return false, &plan.LockedError{Holder: holderOf(old)}
	}
	return true, os.Rename(l.file.Name(), l.path)
}

// stands reports whether a path leads to a file.
func stands(f *os.File, path string) (bool, error) {
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}

// holderOf reads who holds a lock; what cannot be read stays empty.
func holderOf(f *os.File) plan.Holder {
	var h plan.Holder
	if err := json.NewDecoder(io.LimitReader(f, maxHolder)).Decode(&h); err != nil {
		return plan.Holder{}
	}
	return h
}

// release removes the file while it is still locked, so that nobody else's goes,
// also if somebody has removed it by hand.
func (l *lock) release() error {
	there, err := stands(l.file, l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if there {
		err = os.Remove(l.path)
	}
	return errors.Join(err, l.file.Close())
}
