// Package memfs is a file system in memory: the disk of a host of
// faketransport.
package memfs

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/quorate-dev/quorate/transport"
)

// FS is a tree of nodes by path. Symbolic links are followed as on a host. It
// is safe for concurrent use; make it with New.
type FS struct {
	mu     sync.Mutex
	nodes  map[string]*node
	users  map[string]int
	groups map[string]int
	limits map[string]int64
	temps  int
	// inodes and changes count up.
	inodes, changes int64
}

type node struct {
	mode     fs.FileMode // with ModeDir or ModeSymlink
	uid, gid int
	data     []byte
	link     string
	// inode is the node's own, of all there have been, and changed is the
	// number of its last change among all of the file system's: a time without a clock.
	inode, changed int64
}

// New returns the directories and devices that every host has, and the users
// root, daemon and nobody.
func New() *FS {
	f := &FS{
		nodes:  map[string]*node{"/": {mode: fs.ModeDir | 0o755}},
		users:  map[string]int{"root": 0, "daemon": 1, "nobody": 65534},
		groups: map[string]int{"root": 0, "daemon": 1, "nogroup": 65534},
		limits: map[string]int64{},
	}
	for _, dir := range []string{"/dev", "/etc", "/root", "/run", "/usr", "/var"} {
		f.nodes[dir] = &node{mode: fs.ModeDir | 0o755}
	}
	f.nodes["/tmp"] = &node{mode: fs.ModeDir | 0o777}
	for _, device := range []string{"/dev/null", "/dev/zero"} {
		f.nodes[device] = &node{mode: fs.ModeDevice | 0o666}
	}
	return f
}

func pathError(op, p string, err error) error { return &fs.PathError{Op: op, Path: p, Err: err} }

// resolve follows links on the way to p, and at its end if follow is set. The
// path it returns has a parent directory but need not exist.
func (f *FS) resolve(p string, follow bool) (string, error) {
	const mostLinks = 40
	links := 0
	at := "/"
	rest := strings.Split(strings.Trim(path.Clean(p), "/"), "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" {
			continue
		}
		parent := f.nodes[at]
		if parent == nil {
			return "", pathError("open", p, syscall.ENOENT)
		}
		if !parent.mode.IsDir() {
			return "", pathError("open", p, syscall.ENOTDIR)
		}
		at = path.Join(at, name)
		n := f.nodes[at]
		if n == nil || n.mode.Type() != fs.ModeSymlink || len(rest) == 0 && !follow {
			continue
		}
		if links++; links > mostLinks {
			return "", pathError("open", p, syscall.ELOOP)
		}
		target := n.link
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(at), target)
		}
		rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
		at = "/"
	}
	return at, nil
}

// lookup returns the node at p.
func (f *FS) lookup(p string, follow bool) (string, *node, error) {
	at, err := f.resolve(p, follow)
	if err != nil {
		return "", nil, err
	}
	n := f.nodes[at]
	if n == nil {
		return at, nil, pathError("open", p, syscall.ENOENT)
	}
	return at, n, nil
}

// place puts a new node where nothing is.
func (f *FS) place(at string, n *node) {
	f.inodes++
	n.inode = f.inodes
	f.nodes[at] = n
	f.touch(n)
}

// touch notes that a node has changed.
func (f *FS) touch(n *node) {
	f.changes++
	n.changed = f.changes
}

// Create opens a regular file for writing, and makes it where it is not there.
func (f *FS) Create(p string, mode fs.FileMode, exclusive, truncate bool) (*Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.resolve(p, true)
	if err != nil {
		return nil, err
	}
	n := f.nodes[at]
	switch {
	case n == nil:
		if parent := f.nodes[path.Dir(at)]; parent == nil {
			return nil, pathError("open", p, syscall.ENOENT)
		}
		n = &node{mode: mode.Perm()}
		f.place(at, n)
	case n.mode.IsDir():
		return nil, pathError("open", p, syscall.EISDIR)
	case exclusive:
		return nil, pathError("open", p, syscall.EEXIST)
	case truncate:
		n.data = nil
		f.touch(n)
	}
	return &Handle{fs: f, node: n}, nil
}

// write puts b into the node, as much as there is room for.
func (f *FS) write(n *node, at int, b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.mode&fs.ModeDevice != 0 {
		return len(b), nil
	}
	room := f.room(n)
	var err error
	if grows := int64(at + len(b) - len(n.data)); grows > room {
		b = b[:max(0, int64(len(b))-(grows-room))]
		err = syscall.ENOSPC
	}
	if end := at + len(b); end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
	}
	copy(n.data[at:], b)
	f.touch(n)
	return len(b), err
}

// room is how many bytes may still be added to a node's file.
func (f *FS) room(n *node) int64 {
	const plenty = 1 << 40
	room := int64(plenty)
	for dir, limit := range f.limits {
		used, inside := int64(0), false
		for p, other := range f.nodes {
			if strings.HasPrefix(p, dir+"/") {
				used += int64(len(other.data))
				inside = inside || other == n
			}
		}
		if inside {
			room = min(room, limit-used)
		}
	}
	return max(0, room)
}

// Limit leaves room for that many bytes in the files below dir; further writes
// fail with ENOSPC.
func (f *FS) Limit(dir string, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits[path.Clean(dir)] = bytes
}

// ReadFile returns a copy of a regular file.
func (f *FS) ReadFile(p string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, n, err := f.lookup(p, true)
	switch {
	case err != nil:
		return nil, err
	case n.mode.IsDir():
		return nil, pathError("read", p, syscall.EISDIR)
	}
	return slices.Clone(n.data), nil
}

// MkdirAll makes a directory and its parents.
func (f *FS) MkdirAll(p string, mode fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mkdirLocked(p, mode)
}

func (f *FS) mkdirLocked(p string, mode fs.FileMode) error {
	at := ""
	for _, name := range strings.Split(strings.Trim(path.Clean(p), "/"), "/") {
		at += "/" + name
		where, n, err := f.lookup(at, true)
		switch {
		case err == nil && !n.mode.IsDir():
			return pathError("mkdir", p, syscall.ENOTDIR)
		case err == nil:
		case where == "":
			return err
		default:
			f.place(where, &node{mode: fs.ModeDir | mode.Perm()})
		}
	}
	return nil
}

// Mkdir makes a directory.
func (f *FS) Mkdir(p string, mode fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, n, err := f.lookup(p, false)
	if n != nil {
		return pathError("mkdir", p, syscall.EEXIST)
	}
	if at == "" {
		return err
	}
	if f.nodes[path.Dir(at)] == nil {
		return pathError("mkdir", p, syscall.ENOENT)
	}
	f.place(at, &node{mode: fs.ModeDir | mode.Perm()})
	return nil
}

// fromTo finds what is at one path, and where another would be, in a directory
// that is there.
func (f *FS) fromTo(op, from, to string) (src string, n *node, dst string, err error) {
	if src, n, err = f.lookup(from, false); err != nil {
		return "", nil, "", err
	}
	if dst, err = f.resolve(to, false); err != nil {
		return "", nil, "", err
	}
	if f.nodes[path.Dir(dst)] == nil {
		return "", nil, "", pathError(op, to, syscall.ENOENT)
	}
	return src, n, dst, nil
}

// Rename replaces what is at the new path, as rename(2) does.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	src, n, dst, err := f.fromTo("rename", from, to)
	if err != nil {
		return err
	}
	old := f.nodes[dst]
	switch {
	case old != nil && old.mode.IsDir() && !n.mode.IsDir():
		return pathError("rename", to, syscall.EISDIR)
	case old != nil && !old.mode.IsDir() && n.mode.IsDir():
		return pathError("rename", to, syscall.ENOTDIR)
	case old != nil && old.mode.IsDir() && len(f.children(dst)) > 0 && src != dst:
		return pathError("rename", to, syscall.ENOTEMPTY)
	case n.mode.IsDir() && strings.HasPrefix(dst+"/", src+"/") && src != dst:
		return pathError("rename", to, syscall.EINVAL)
	}
	moved := map[string]*node{}
	for p, child := range f.nodes {
		if p == src || strings.HasPrefix(p, src+"/") {
			moved[dst+strings.TrimPrefix(p, src)] = child
			delete(f.nodes, p)
		}
	}
	maps.Copy(f.nodes, moved)
	return nil
}

// Remove deletes a file, or an empty directory if dir is set.
func (f *FS) Remove(p string, dir bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, n, err := f.lookup(p, false)
	switch {
	case err != nil:
		return err
	case n.mode.IsDir() && !dir:
		return pathError("remove", p, syscall.EISDIR)
	case !n.mode.IsDir() && dir:
		return pathError("remove", p, syscall.ENOTDIR)
	case dir && len(f.children(at)) > 0:
		return pathError("remove", p, syscall.ENOTEMPTY)
	}
	delete(f.nodes, at)
	return nil
}

// RemoveAll deletes a tree.
func (f *FS) RemoveAll(p string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, n, err := f.lookup(p, false)
	if err != nil || n == nil {
		return
	}
	for other := range f.nodes {
		if other == at || strings.HasPrefix(other, at+"/") {
			delete(f.nodes, other)
		}
	}
}

// CopyAll copies a file, or a directory with all that is in it, with modes and
// owners.
func (f *FS) CopyAll(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	src, _, dst, err := f.fromTo("copy", from, to)
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(f.nodes)) {
		if p == src || strings.HasPrefix(p, src+"/") {
			one := *f.nodes[p]
			one.data = slices.Clone(one.data)
			f.place(dst+strings.TrimPrefix(p, src), &one)
		}
	}
	return nil
}

// Symlink makes a symbolic link.
func (f *FS) Symlink(target, p string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, n, err := f.lookup(p, false)
	if n != nil {
		return pathError("symlink", p, syscall.EEXIST)
	}
	if at == "" {
		return err
	}
	f.place(at, &node{mode: fs.ModeSymlink | 0o777, link: target})
	return nil
}

// children are the names in a directory, sorted.
func (f *FS) children(dir string) []string {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	var names []string
	for p := range f.nodes {
		if name, ok := strings.CutPrefix(p, prefix); ok && name != "" && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Chmod sets permission bits.
func (f *FS) Chmod(p string, mode fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, n, err := f.lookup(p, true)
	if err == nil {
		n.mode = n.mode.Type() | mode.Perm()
		f.touch(n)
	}
	return err
}

// Chown takes names or numbers; empty ones leave what is there.
func (f *FS) Chown(p, owner, group string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, n, err := f.lookup(p, true)
	if err != nil {
		return err
	}
	return f.own(n, owner, group)
}

func (f *FS) own(n *node, owner, group string) error {
	uid, err := number(f.users, "user", owner, n.uid)
	if err != nil {
		return err
	}
	gid, err := number(f.groups, "group", group, n.gid)
	if err != nil {
		return err
	}
	n.uid, n.gid = uid, gid
	f.touch(n)
	return nil
}

func number(known map[string]int, kind, name string, unset int) (int, error) {
	if name == "" {
		return unset, nil
	}
	if id, ok := known[name]; ok {
		return id, nil
	}
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	return 0, fmt.Errorf("invalid %s: %q", kind, name)
}

// AddUser makes a user and a group of that name and number.
func (f *FS) AddUser(name string, id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[name], f.groups[name] = id, id
}

// nameOf is the name of a number, or the number.
func nameOf(known map[string]int, id int) string {
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name] == id {
			return name
		}
	}
	return strconv.Itoa(id)
}

// Stage makes a temporary file beside p, 0600, to be renamed to it, and returns
// its path too.
func (f *FS) Stage(p string) (string, *Handle, error) {
	at, err := func() (string, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, n, _ := f.lookup(p, true); n != nil && n.mode.IsDir() {
			return "", pathError("open", p, syscall.EISDIR)
		}
		if err := f.mkdirLocked(path.Dir(p), 0o755); err != nil {
			return "", err
		}
		return f.tempLocked(path.Dir(p) + "/.quorate-"), nil
	}()
	if err != nil {
		return "", nil, err
	}
	h, err := f.Create(at, 0o600, true, false)
	return at, h, err
}

// TempName returns a path with this prefix that it never returned before. It
// counts instead of drawing: the same test has the same names.
func (f *FS) TempName(prefix string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tempLocked(prefix)
}

func (f *FS) tempLocked(prefix string) string {
	f.temps++
	return fmt.Sprintf("%s%06d", prefix, f.temps)
}

// Put places a file whole, with its parents, mode and owner.
func (f *FS) Put(file transport.File) error {
	temp, h, err := f.Stage(file.Path)
	if err != nil {
		return err
	}
	if _, err = h.Write(file.Data.Bytes()); err == nil {
		err = h.Own(file)
	}
	if err == nil {
		err = f.Rename(temp, file.Path)
	}
	if err != nil {
		f.RemoveAll(temp)
	}
	return err
}

// File returns a regular file with its content.
func (f *FS) File(p string) (transport.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, n, err := f.lookup(p, true)
	if err == nil && !n.mode.IsRegular() {
		err = pathError("read", p, syscall.EISDIR)
	}
	if err != nil {
		return transport.File{}, err
	}
	return transport.File{
		Path: p, Mode: n.mode.Perm(), Data: transport.Bytes(n.data),
		Owner: nameOf(f.users, n.uid), Group: nameOf(f.groups, n.gid),
	}, nil
}

// List returns the paths of all regular files, sorted.
func (f *FS) List() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for p, n := range f.nodes {
		if n.mode.IsRegular() {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}
