package statedir

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

const (
	current  = "cluster"
	next     = ".cluster.next"
	previous = ".cluster.previous" // only where names cannot be exchanged
	lockName = "lock"
)

// disk is a state directory while it is locked. Every operation that changes
// something goes through it, so that a test can stop before each.
type disk struct {
	dir    string
	root   *os.Root
	before func(op string) error
	// apart has two renames take the place of an exchange.
	apart bool
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d *disk) step(op, name string) error {
	if d.before == nil {
		return nil
	}
	return d.before(op + " " + name)
}

func (d *disk) exists(name string) (bool, error) {
	_, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// recover ends what a program that died has begun: DIR/cluster is whole whenever
// it is there, and DIR/.cluster.next is whole if DIR/cluster is not there although
// there was one.
func (d *disk) recover() error {
	there, err := d.exists(current)
	if err != nil {
		return err
	}
	replaced, err := d.exists(previous)
	if err != nil {
		return err
	}
	if replaced && !there {
		if err := errors.Join(d.rename(next, current), d.sync(".")); err != nil {
			return err
		}
	}
	return errors.Join(d.remove(previous), d.remove(next))
}

// commit puts a directory with these files in the place of DIR/cluster. Paths are
// relative to it.
func (d *disk) commit(files map[string]quorate.File) (err error) {
	defer func() {
		if err != nil { // a full disk, say: the next Load would remove it too
			_ = d.remove(next)
		}
	}()
	dirs := map[string]bool{next: true}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		for dir := path.Dir(path.Join(next, p)); dir != next; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(dirs))
	for _, dir := range sorted {
		if err := d.step("mkdir", dir); err != nil {
			return err
		}
		if err := d.root.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if err := d.create(path.Join(next, p), files[p]); err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(sorted) {
		if err := d.sync(dir); err != nil {
			return err
		}
	}
	return d.replace()
}

func (d *disk) create(name string, f quorate.File) error {
	if err := d.step("create", name); err != nil {
		return err
	}
	w, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(d.fill(w, name, f), w.Close())
}

func (d *disk) fill(w *os.File, name string, f quorate.File) error {
	if err := d.step("write", name); err != nil {
		return err
	}
	if _, err := w.Write(f.Content.Bytes()); err != nil {
		return err
	}
	if err := w.Chmod(f.Mode.Perm() &^ othersMayWrite); err != nil {
		return err
	}
	if err := d.step("sync", name); err != nil {
		return err
	}
	return w.Sync()
}

// replace is the moment at which a change is made.
func (d *disk) replace() error {
	there, err := d.exists(current)
	if err != nil {
		return err
	}
	if err := d.sync("."); err != nil {
		return err
	}
	if there {
		err = d.exchange()
	} else {
		err = d.rename(next, current)
	}
	if err != nil {
		return err
	}
	return errors.Join(d.sync("."), d.remove(previous), d.remove(next), d.sync("."))
}

// exchange puts next in the place of current, and what was current in that of
// next or previous.
func (d *disk) exchange() error {
	if err := d.step("exchange", current); err != nil {
		return err
	}
	top, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = top.Close() }() // it was only read
	err = errors.ErrUnsupported
	if !d.apart {
		err = exchange(int(top.Fd()), next, current) // #nosec G115 -- a descriptor
	}
	if !d.apart && !slices.ContainsFunc(unsupported, func(u error) bool { return errors.Is(err, u) }) {
		return err
	}
	return errors.Join(d.rename(current, previous), d.sync("."), d.rename(next, current))
}

func (d *disk) rename(from, to string) error {
	if err := d.step("rename", from); err != nil {
		return err
	}
	return d.root.Rename(from, to)
}

func (d *disk) sync(dir string) error {
	if err := d.step("sync", dir); err != nil {
		return err
	}
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// remove removes a directory and what is in it, or nothing if it is not there.
func (d *disk) remove(name string) error {
	var all []string
	err := fs.WalkDir(d.root.FS(), name, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(all) {
		if err := d.step("remove", p); err != nil {
			return err
		}
		if err := d.root.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// read reads a file of the cluster's directory.
func (d *disk) read(name string) ([]byte, error) {
	f, err := d.root.Open(path.Join(current, name))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, errors.New("is too large")
	}
	return b, nil
}

// strangers lists what is beside the cluster's directory, and was not there before
// it: whatever does not start with a dot, except the lock and what a file system
// brings along.
func (d *disk) strangers() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); name != lockName && name != "lost+found" && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}
