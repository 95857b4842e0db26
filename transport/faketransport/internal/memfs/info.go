package memfs

import (
	"crypto/sha256"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/quorate-dev/quorate/transport"
)

// Info describes a file, directory or link. It is an fs.FileInfo.
type Info struct {
	Owner, Group string
	UID, GID     int
	// Link is where a symbolic link points.
	Link string
	// Inode differs from that of all else that was ever at the path.
	Inode int64
	// Changed grows with every change of any file: a time without a clock.
	Changed int64

	name string
	mode fs.FileMode
	size int64
}

// Name is the last element of its path.
func (i Info) Name() string { return i.name }

// Size is the number of bytes of a regular file.
func (i Info) Size() int64 { return i.size }

// Mode has the type too.
func (i Info) Mode() fs.FileMode { return i.mode }

// ModTime is zero: see Changed.
func (i Info) ModTime() time.Time { return time.Time{} }

// IsDir reports a directory.
func (i Info) IsDir() bool { return i.mode.IsDir() }

// Sys is nil.
func (i Info) Sys() any { return nil }

// Stat describes what is at a path; a link that is its last element is followed
// if it was requested.
func (f *FS) Stat(p string, follow bool) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, n, err := f.lookup(p, follow)
	if err != nil {
		return Info{}, err
	}
	return Info{
		name: path.Base(at), mode: n.mode, size: int64(len(n.data)),
		Owner: nameOf(f.users, n.uid), Group: nameOf(f.groups, n.gid), UID: n.uid, GID: n.gid,
		Link: n.link, Inode: n.inode, Changed: n.changed,
	}, nil
}

// FileInfo describes a file as transport.Filer.Stat does.
func (f *FS) FileInfo(p string) (transport.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info := transport.FileInfo{Path: p}
	_, n, err := f.lookup(p, true)
	if err != nil {
		return info, err
	}
	info.Exists, info.Dir, info.Mode = true, n.mode.IsDir(), n.mode.Perm()
	info.Owner, info.Group = nameOf(f.users, n.uid), nameOf(f.groups, n.gid)
	if n.mode.IsRegular() {
		info.Size, info.SHA256 = int64(len(n.data)), sha256.Sum256(n.data)
	}
	return info, nil
}

// ReadDir lists a directory, sorted.
func (f *FS) ReadDir(p string) ([]fs.DirEntry, error) {
	info, err := f.Stat(p, true)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, pathError("readdir", p, syscall.ENOTDIR)
	}
	f.mu.Lock()
	at, err := f.resolve(p, true)
	names := f.children(at)
	f.mu.Unlock()
	var entries []fs.DirEntry
	for _, name := range names {
		if child, err := f.Stat(path.Join(at, name), false); err == nil {
			entries = append(entries, fs.FileInfoToDirEntry(child))
		}
	}
	return entries, err
}

// RealPath is a path without symbolic links.
func (f *FS) RealPath(p string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resolve(p, true)
}
