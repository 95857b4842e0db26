//go:build unix

package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strconv"
	"syscall"

	"github.com/quorate-dev/quorate/transport"
)

// Stat follows symbolic links.
func (c *conn) Stat(ctx context.Context, paths ...string) ([]transport.FileInfo, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	infos := make([]transport.FileInfo, 0, len(paths))
	for _, p := range paths {
		info, err := stat(ctx, p)
		if err != nil {
			return nil, c.fileError("stat", p, err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func stat(ctx context.Context, p string) (transport.FileInfo, error) {
	info := transport.FileInfo{Path: p}
	if err := transport.ValidatePath(p); err != nil {
		return info, err
	}
	st, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return info, nil
	}
	if err != nil {
		return info, err
	}
	info.Exists, info.Dir, info.Mode = true, st.IsDir(), st.Mode().Perm()
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		info.Owner, info.Group = owner(sys.Uid), group(sys.Gid)
	}
	if !st.Mode().IsRegular() {
		return info, nil
	}
	info.Size = st.Size()
	f, err := os.Open(p) //nolint:gosec // the caller's path
	if err != nil {
		return info, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, &ctxReader{ctx, f}); err != nil {
		return info, err
	}
	h.Sum(info.SHA256[:0])
	return info, nil
}

// Read reads a regular file.
func (c *conn) Read(ctx context.Context, p string, limit int64) ([]byte, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	b, err := read(ctx, p, limit)
	return b, c.fileError("read", p, err)
}

// ReadAll reads regular files.
func (c *conn) ReadAll(ctx context.Context, limit int64, paths ...string) ([]transport.Data, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	all := make([]transport.Data, 0, len(paths))
	for _, p := range paths {
		b, err := read(ctx, p, limit)
		if err != nil {
			return nil, c.fileError("read", p, err)
		}
		all = append(all, transport.Bytes(b))
	}
	return all, nil
}

func read(ctx context.Context, p string, limit int64) ([]byte, error) {
	if err := transport.ValidatePath(p); err != nil {
		return nil, err
	}
	st, err := os.Stat(p)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(p) //nolint:gosec // the caller's path
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(&ctxReader{ctx, f}, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("more than %d bytes: %w", limit, transport.ErrTooLarge)
	}
	return b, nil
}

// Write stages every file before it renames the first.
func (c *conn) Write(ctx context.Context, files ...transport.File) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	var invalid []error
	for _, f := range files {
		invalid = append(invalid, f.Validate())
	}
	if err := errors.Join(invalid...); err != nil {
		return c.fileError("write", "", err)
	}
	temps := make([]string, len(files))
	defer func() { discard(temps) }()
	for i, f := range files {
		var err error
		if temps[i], err = stage(ctx, f, bytes.NewReader(f.Data.Bytes())); err != nil {
			return c.fileError("write", f.Path, err)
		}
	}
	for i, f := range files {
		if err := place(temps[i], f.Path); err != nil {
			return c.fileError("write", f.Path, err)
		}
		temps[i] = ""
	}
	return nil
}

// Upload streams one file.
func (c *conn) Upload(ctx context.Context, f transport.File, r io.Reader) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	if err := f.Validate(); err != nil {
		return c.fileError("upload", "", err)
	}
	temp, err := stage(ctx, f, r)
	defer func() { discard([]string{temp}) }()
	if err != nil {
		return c.fileError("upload", f.Path, err)
	}
	return c.fileError("upload", f.Path, place(temp, f.Path))
}

// Remove deletes files, not directories.
func (c *conn) Remove(ctx context.Context, paths ...string) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	for _, p := range paths {
		if err := transport.ValidatePath(p); err != nil {
			return c.fileError("remove", "", err)
		}
	}
	for _, p := range paths {
		err := syscall.Unlink(p)
		if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
			return c.fileError("remove", p, err)
		}
	}
	return nil
}

func (c *conn) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.host, err)
	}
	return c.open()
}

func (c *conn) fileError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &transport.FileError{Host: c.host, Op: op, Path: path, Err: err}
}

func discard(temps []string) {
	for _, t := range temps {
		if t != "" {
			_ = os.Remove(t)
		}
	}
}

// stage writes a synced temporary file beside the path, 0600 until it is
// whole, and returns its name also when it fails.
func stage(ctx context.Context, f transport.File, r io.Reader) (string, error) {
	if st, err := os.Stat(f.Path); err == nil && st.IsDir() {
		return "", errors.New("is a directory")
	}
	dir := path.Dir(f.Path)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the mode is the contract's
		return "", err
	}
	t, err := os.CreateTemp(dir, ".quorate-") // created 0600, exclusively
	if err != nil {
		return "", err
	}
	err = fill(ctx, t, f, r)
	return t.Name(), errors.Join(err, t.Close())
}

func fill(ctx context.Context, t *os.File, f transport.File, r io.Reader) error {
	if _, err := io.Copy(t, &ctxReader{ctx, r}); err != nil {
		return err
	}
	uid, gid, err := ids(f.Owner, f.Group)
	if err != nil {
		return err
	}
	if err := t.Chown(uid, gid); err != nil {
		return err
	}
	mode := f.Mode
	if mode == 0 {
		mode = 0o600
	}
	if err := t.Chmod(mode); err != nil {
		return err
	}
	return t.Sync()
}

// place renames and syncs the directory, without which a power cut may bring
// the old file back.
func place(temp, p string) error {
	if err := os.Rename(temp, p); err != nil {
		return err
	}
	dir, err := os.Open(path.Dir(p))
	if err != nil {
		return nil //nolint:nilerr // not readable: the rename has happened all the same
	}
	_ = dir.Sync()
	return dir.Close()
}

// ids resolves names or numbers; -1 leaves what is there.
func ids(owner, group string) (uid, gid int, err error) {
	uid, gid = -1, -1
	if owner != "" {
		if uid, err = strconv.Atoi(owner); err != nil {
			u, err := user.Lookup(owner)
			if err != nil {
				return 0, 0, err
			}
			if uid, err = strconv.Atoi(u.Uid); err != nil {
				return 0, 0, err
			}
		}
	}
	if group != "" {
		if gid, err = strconv.Atoi(group); err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return 0, 0, err
			}
			if gid, err = strconv.Atoi(g.Gid); err != nil {
				return 0, 0, err
			}
		}
	}
	return uid, gid, nil
}

// owner is the user's name, or its number where it has none.
func owner(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func group(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// ctxReader ends what takes long between two reads.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
