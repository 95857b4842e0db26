package filejournal

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/filelock"
)

// lock is a file that says who holds it and is locked by the kernel for as long
// as they live. Who comes finds one of three things:
//
//   - No file. A file that is written and locked already gets the name, by a
//     link, which fails if somebody else was faster.
//   - A file that is locked. Its content was complete before it had its name, so
//     the holder can be read.
//   - A file that nobody has locked: its holder is dead. Who locks it now, and
//     finds it still under its name, is the only one that may replace it.
type lock struct {
	path   string
	file   *os.File
	before func(op string)
}

// maxHolder bounds what is read of who holds a lock.
const maxHolder = 64 << 10

// acquire takes the lock, or returns a *plan.LockedError. before is called before
// each operation that changes something on the disk.
func acquire(ctx context.Context, path string, h plan.Holder, before func(op string)) (*lock, error) {
	for {
		mine, err := write(path, h, before)
		if err != nil {
			return nil, err
		}
		won, err := mine.contend(ctx)
		// Its first name goes in any case; with the lock it has another.
		before("remove the lock's first name")
		if removeErr := os.Remove(mine.file.Name()); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		if won && err == nil {
			err = mine.sweep()
		}
		if err == nil && won {
			return mine, nil
		}
		err = errors.Join(err, mine.file.Close())
		if !errors.Is(err, errSwept) {
			return nil, err
		}
	}
}

// errSwept is who was taken for dead before it had locked its file: it tries again.
var errSwept = errors.New("the lock's file was removed before it was locked")

// write makes a locked file beside the path.
func write(path string, h plan.Holder, before func(op string)) (*lock, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	for {
		before("create the lock")
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
		if err != nil {
			return nil, err
		}
		before("lock the lock")
		locked, err := filelock.Try(f)
		if err == nil && locked {
			before("write the lock")
			_, err = f.Write(append(termsafe.JSON(b), '\n'))
		}
		if err == nil && locked {
			return &lock{path: path, file: f, before: before}, nil
		}
		if err = errors.Join(err, f.Close()); err != nil { // who sweeps it has it locked
			return nil, errors.Join(err, os.Remove(f.Name()))
		}
	}
}

// sweep removes what dead processes have left beside the lock: files with a first
// name that nobody has locked.
func (l *lock) sweep() error {
	dir, base := filepath.Split(l.path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil //nolint:nilerr // a directory that cannot be listed keeps nobody from working
	}
	for _, e := range entries {
		number, found := strings.CutPrefix(e.Name(), base+".")
		if !found || number == "" || strings.Trim(number, "0123456789") != "" || !e.Type().IsRegular() {
			continue
		}
		if err := l.sweepOne(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (l *lock) sweepOne(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only locked
	if dead, err := filelock.Try(f); err != nil || !dead {
		return err
	}
	l.before("sweep")
	return os.Remove(path)
}

// contend puts the file at the lock's path. Each round somebody else's lock has
// come or gone in between.
func (l *lock) contend(ctx context.Context) (bool, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		l.before("link the lock")
		err := os.Link(l.file.Name(), l.path)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, fs.ErrNotExist):
			return false, errors.Join(errSwept, err)
		case !errors.Is(err, fs.ErrExist):
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
	dead, err := filelock.Try(old)
	if err != nil {
		return false, err
	}
	// It may have been released, or replaced, since it was opened.
	if there, err := filelock.Is(old, l.path); err != nil || !there {
		return false, err
	}
	if !dead {
		return false, &plan.LockedError{Holder: holderOf(old)}
	}
	l.before("replace the lock")
	if err := os.Rename(l.file.Name(), l.path); err != nil {
		return false, err
	}
	return true, nil
}

// holderOf reads who holds a lock; what cannot be read stays empty.
func holderOf(f *os.File) plan.Holder {
	var h plan.Holder
	b, err := io.ReadAll(io.LimitReader(f, maxHolder+1))
	if err == nil {
		err = strictjson.Decode(b, &h, strictjson.Options{MaxSize: maxHolder, AllowUnknown: true})
	}
	if err != nil {
		return plan.Holder{}
	}
	return h
}

// release removes the file while it is still locked, so that nobody else's goes,
// also if somebody has removed it by hand.
func (l *lock) release() error {
	there, err := filelock.Is(l.file, l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if there {
		l.before("remove the lock")
		err = os.Remove(l.path)
	}
	return errors.Join(err, l.file.Close())
}
